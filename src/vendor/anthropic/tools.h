#pragma once

// Anthropic's `tools` as those of a Conversation. Free function; any thread.

#include <boost/json.hpp>

#include "prompt/outline.h"
#include "vendor/anthropic/block_reader.h"
#include "vendor/anthropic/cache_control.h"

namespace reprise {

// {"name", "description", "input_schema"} becomes {"type": "function", "function": {…}}. Faults
// stay in `blocks`; the outline gets every tool.
boost::json::array ReadTools(BlockReader& blocks, CacheControlMarks& marks, OutlineWriter& outline);

}  // namespace reprise

#pragma once

// Anthropic's `diagnostics` of a reply. Shapes: the vendor's client, types/diagnostics.py and
// cache_miss_*.py. Pure; any thread.

#include <boost/json.hpp>
#include <optional>

#include "history/cache_diagnosis.h"

namespace reprise {

// {"cache_miss_reason": {…}}, or null.
boost::json::value DiagnosticsJson(const std::optional<CacheMissReason>& reason);

}  // namespace reprise

#pragma once

// A conversation in Anthropic's form: `system`, `tools` and `messages` with their blocks and
// cache_control marks, as the template's context.
//
//   text          joined by blank lines; messages of one role in a row are one message
//   tool_use      a tool call of the assistant's message
//   tool_result   a message of its own, of role "tool"
//   thinking, redacted_thinking   dropped: no model here can read another's
//   anything else a 400 that names the block
//
// Pure function over immutable parts; any thread.

#include <boost/json.hpp>

#include "api/cache_mark.h"
#include "api/json_reader.h"
#include "api/marker_rules.h"
#include "api/served_model.h"

namespace reprise {

struct AnthropicChat {
  ChatPrompt prompt;
  bool dropped_billing_line = false;
};

// Faults stay in `fields` and in `rules`; the chat is worth nothing then.
AnthropicChat ReadAnthropicChat(FieldReader& fields, const ServedModel& model, MarkerRules& rules);

}  // namespace reprise

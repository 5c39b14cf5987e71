#pragma once

// A conversation in Anthropic's form: `tools`, `system`, `messages` and their cache_control marks.
// Free function; any thread.

#include "prompt/conversation.h"
#include "vendor/json_reader.h"
#include "vendor/marker_rules.h"

namespace reprise {

struct AnthropicConversation {
  Conversation conversation;
  bool dropped_billing_line = false;
};

// Faults stay in `fields` and in `rules`; the conversation is worth nothing then.
AnthropicConversation ReadAnthropicConversation(FieldReader& fields, bool drop_billing_line,
                                                MarkerRules& rules);

}  // namespace reprise

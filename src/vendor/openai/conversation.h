#pragma once

// A conversation in OpenAI's form: `messages`, `tools` or `functions`, `chat_template_kwargs`,
// `reasoning_effort` and `add_generation_prompt`. Free function; any thread.

#include <boost/json.hpp>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "prompt/conversation.h"
#include "vendor/marker_rules.h"

namespace reprise {

// `ttl` is the lifetime of marks that name none.
Result<Conversation> ReadOpenAiConversation(const boost::json::object& body,
                                            std::optional<Duration> ttl, MarkerRules& rules);

// How much to think, in the words of templates: some know the effort by name, others only whether.
void AddEffort(std::optional<std::string_view> effort, boost::json::object& arguments);

}  // namespace reprise

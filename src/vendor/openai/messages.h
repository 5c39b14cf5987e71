#pragma once

// `messages` of a chat completion, as the messages of a Conversation: developer becomes system,
// text parts are joined, the arguments of tool calls become objects, other fields stay for the
// template. Free functions; any thread.

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "prompt/conversation.h"
#include "vendor/json_reader.h"
#include "vendor/marker_rules.h"

namespace reprise {

// Faults name the message ("messages[3].content"). Each prompt_cache_breakpoint becomes a mark;
// `ttl` is that of one without its own. The outline gets every message.
Result<boost::json::array> ReadMessages(FieldReader& fields, std::optional<Duration> ttl,
                                        MarkerRules& rules, std::vector<CacheMark>& marks,
                                        OutlineWriter& outline);

// The text of an element of an array of content parts, `name` in `owner`: of type text, or an
// assistant's refusal. Faults stay in `owner`.
std::string_view ReadTextPart(const boost::json::value& value, const std::string& name,
                              FieldReader& owner);

}  // namespace reprise

#pragma once

// From a client's messages to the tokens of a prompt: checked, put into the form that Hugging Face
// templates expect, rendered, tokenised. What a user wrote can never become a control token: every
// string, keys of tool arguments included, is escaped before the template sees it.
// Free functions over immutable parts; any thread.

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "api/cache_mark.h"
#include "api/json_reader.h"
#include "api/marker_rules.h"
#include "api/served_model.h"

namespace reprise {

// A conversation in OpenAI's form: the template's context from `messages`, `tools`, `tool_choice`,
// `chat_template_kwargs` and `add_generation_prompt`: developer becomes system, text parts are
// joined, the arguments of tool calls become objects, user text is escaped, tools become text where
// the template knows none (tool_text.h). Faults name the message ("messages[3].content"). Each
// prompt_cache_breakpoint becomes a mark; `ttl` is that of one without its own.
Result<ChatPrompt> ReadChat(const boost::json::object& body, const ServedModel& model,
                            MarkerRules& rules, std::optional<Duration> ttl);
// The same without marks.
Result<boost::json::object> ReadChatContext(const boost::json::object& body,
                                            const ServedModel& model);

// Every string in `value` escaped, keys included.
boost::json::value EscapeAll(const boost::json::value& value, const Tokenizer& tokenizer);
// How many bytes of Escape(text) stand for the first `offset` bytes of `text`. Where the two sides
// of the place spell a control token together, what lies before it.
size_t EscapedOffset(std::string_view text, size_t offset, const Tokenizer& tokenizer);

// The rendered prompt, escapes still in it. kUnsupported when the model has no template,
// kInvalidArgument with the template's own sentence when it refuses.
Result<std::string> RenderChat(const boost::json::object& context, const ServedModel& model);

// The prompt that a client will send next if it appends `text` as the assistant's reply: the
// conversation up to the end of that reply, as tokens. Empty when the template does not show it.
//
// A reply's tokens as they were sampled need not be those that its text is tokenised to. Where they
// differ, the next turn could read only up to the difference; prefilling these tokens beforehand
// makes it read everything, with the bits that a cold computation would give.
std::vector<TokenId> ContinuedPrompt(boost::json::object context, std::string_view text,
                                     const ServedModel& model, std::string_view tenant);

}  // namespace reprise

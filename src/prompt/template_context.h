#pragma once

// From a conversation to the variables that the model's chat template is rendered with. What a user
// wrote can never become a control token: every string, keys of tool arguments included, is escaped
// (Tokenizer::EscapeUserText) here, in one place, before the template sees it.
// Free functions over immutable parts; any thread.

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "prompt/conversation.h"
#include "prompt/prompt_model.h"

namespace reprise {

struct TemplateContext {
  boost::json::object variables;  // messages, tools, add_generation_prompt, …; texts are escaped
  std::vector<CacheMark> marks;   // in the order of the conversation; offsets count escaped bytes
  bool continues_reply = false;
};

// A message's text; empty where the content is absent or not a string. A view into the message.
std::string_view ContentOf(const boost::json::object& message);

// Escapes the conversation, gives back what the model itself wrote (reply_memory.h), and writes
// tools as text where the template knows none (tool_text.h).
TemplateContext MakeTemplateContext(const Conversation& conversation, const PromptModel& model,
                                    const std::string& tenant);

// How many bytes of Escape(text) stand for the first `offset` bytes of `text`. Where the two sides
// of the place spell a control token together, what lies before it.
size_t EscapedOffset(std::string_view text, size_t offset, const Tokenizer& tokenizer);

// The rendered prompt, escapes still in it. kUnsupported when the model has no template,
// kInvalidArgument with the template's own sentence when it refuses.
Result<std::string> RenderTemplate(const boost::json::object& variables, const PromptModel& model);

}  // namespace reprise

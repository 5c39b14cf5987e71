#include "prompt/template_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/trace.h"
#include "prompt/tool_text.h"

namespace reprise {
namespace json = boost::json;
namespace {

// Every string in `value` escaped, keys included.
json::value EscapeAll(const json::value& value, const Tokenizer& tokenizer) {
  if (value.is_string()) {
    return json::value(tokenizer.EscapeUserText(std::string_view(value.get_string())));
  }
  if (value.is_array()) {
    json::array escaped;
    escaped.reserve(value.get_array().size());
    for (const json::value& element : value.get_array()) {
      escaped.push_back(EscapeAll(element, tokenizer));
    }
    return escaped;
  }
  if (value.is_object()) {
    json::object escaped;
    escaped.reserve(value.get_object().size());
    for (const auto& [key, element] : value.get_object()) {
      escaped.insert_or_assign(tokenizer.EscapeUserText(std::string_view(key)),
                               EscapeAll(element, tokenizer));
    }
    return escaped;
  }
  return value;
}

// What the model wrote as the content, calls and all.
void GiveBack(const std::vector<RestoredReply>& restored, TemplateContext& context) {
  json::array& messages = context.variables.at("messages").as_array();
  for (const auto& [index, reply] : restored) {
    json::object& message = messages[index].as_object();
    message["content"] = reply->written;
    message.erase("tool_calls");
    for (CacheMark& mark : context.marks) {
      if (mark.index != index || mark.place == CacheMark::Place::kTool) continue;
      if (mark.place == CacheMark::Place::kPromptEnd) continue;
      // Behind its calls, or behind the text before them; in both cases the whole is as good.
      mark = {CacheMark::Place::kText, index, std::string::npos, mark.ttl};
    }
  }
}

// Ids of nine letters and digits, each the same for the same id.
void ShortenIds(json::array& messages) {
  constexpr std::string_view kLetters =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const auto shorten = [&](json::object& object, std::string_view key) {
    json::value* id = object.if_contains(key);
    if (id == nullptr || !id->is_string() || id->get_string().size() == 9) return;
    uint64_t hash = 0xCBF29CE484222325ULL;  // FNV-1a
    for (const char byte : id->get_string()) {
      hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3ULL;
    }
    std::string text;
    for (int i = 0; i < 9; ++i, hash /= kLetters.size()) text += kLetters[hash % kLetters.size()];
    *id = text;
  };
  for (json::value& value : messages) {
    json::object& message = value.as_object();
    shorten(message, "tool_call_id");
    json::value* calls = message.if_contains("tool_calls");
    if (calls == nullptr || !calls->is_array()) continue;
    for (json::value& call : calls->get_array()) {
      if (call.is_object()) shorten(call.get_object(), "id");
    }
  }
}

}  // namespace

size_t EscapedOffset(std::string_view text, size_t offset, const Tokenizer& tokenizer) {
  const std::string whole = tokenizer.EscapeUserText(text);
  if (offset >= text.size()) return whole.size();
  const std::string before = tokenizer.EscapeUserText(text.substr(0, offset));
  return static_cast<size_t>(std::ranges::mismatch(before, whole).in1 - before.begin());
}

std::string_view ContentOf(const json::object& message) {
  const json::value* content = message.if_contains("content");
  return content != nullptr && content->is_string() ? std::string_view(content->get_string())
                                                    : std::string_view();
}

TemplateContext MakeTemplateContext(const Conversation& conversation, const PromptModel& model,
                                    const std::string& tenant) {
  const Tokenizer& tokenizer = *model.tokenizer;
  TemplateContext context;
  context.continues_reply = conversation.continues_reply;
  context.marks = conversation.marks;
  for (CacheMark& mark : context.marks) {
    if (mark.place != CacheMark::Place::kText) continue;
    const json::object& message = conversation.messages.at(mark.index).as_object();
    mark.offset =
        EscapedOffset(std::string_view(message.at("content").as_string()), mark.offset, tokenizer);
  }

  json::array messages = conversation.messages;
  std::vector<RestoredReply> restored;
  if (model.replies != nullptr) restored = RestoreReplies(*model.replies, tenant, messages);
  if (model.template_traits.nine_letter_ids) ShortenIds(messages);
  json::object& variables = context.variables;
  variables["messages"] = EscapeAll(messages, tokenizer);
  if (model.template_traits.content_as_written) GiveBack(restored, context);
  if (!conversation.tools.empty()) variables["tools"] = EscapeAll(conversation.tools, tokenizer);
  variables["add_generation_prompt"] = conversation.add_generation_prompt;
  variables["bos_token"] = model.bos_token;
  variables["eos_token"] = model.eos_token;
  for (const auto& [key, value] : conversation.arguments) {
    if (!variables.contains(key)) variables[key] = EscapeAll(value, tokenizer);
  }
  FoldTools(model.template_traits, context);
  return context;
}

Result<std::string> RenderTemplate(const json::object& variables, const PromptModel& model) {
  TraceScope trace("render template");
  if (model.chat_template == nullptr) {
    return Fail(ErrorCode::kUnsupported,
                "This model has no chat template; use /v1/completions with a prompt.", "messages");
  }
  Result<std::string> rendered = model.chat_template->Render(json::serialize(variables));
  if (!rendered && rendered.error().code == ErrorCode::kInvalidArgument) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("The chat template refused the messages: {}", rendered.error().message),
                "messages");
  }
  return rendered;
}

}  // namespace reprise

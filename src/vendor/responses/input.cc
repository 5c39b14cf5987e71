#include "vendor/responses/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/base64.h"
#include "base/limits.h"
#include "prompt/text_at.h"
#include "text/detokenizer.h"
#include "vendor/call.h"

namespace reprise {
namespace json = boost::json;
namespace {

// Puts items together into messages: an assistant's text, thinking and calls in a row are one.
class Assembler {
 public:
  Assembler(FieldReader& fields, size_t first) : fields_(fields), first_(first) {}

  void Add(const json::value& value, size_t index) {
    path_ = index < first_ ? fmt::format("previous_response_id.input[{}]", index)
                           : fmt::format("input[{}]", index - first_);
    const json::object* item = value.if_object();
    if (item == nullptr) return Refuse("", "must be an object", ErrorCode::kInvalidArgument);
    const std::string_view type = TextAt(*item, "type");
    if (type.empty() || type == "message") return AddMessage(*item);
    if (type == "function_call") return AddCall(*item);
    if (type == "function_call_output") return AddOutput(*item);
    if (type == "reasoning") return AddReasoning(*item);
    Refuse(".type",
           fmt::format("is '{}', which is not supported; messages, function calls, their "
                       "outputs and reasoning are",
                       type),
           ErrorCode::kUnsupported);
  }

  json::array Take() {
    Flush();
    return std::move(messages_);
  }

 private:
  void Refuse(std::string_view name, const std::string& what, ErrorCode code) {
    const std::string path = path_ + std::string(name);
    fields_.Refuse(code, path, fmt::format("'{}' {}.", path, what));
  }

  // Text parts as a chat message has them; marks in them stay.
  json::value Content(const json::object& item, std::string_view key) {
    const json::value* content = item.if_contains(key);
    if (content == nullptr || content->is_null()) return "";
    if (content->is_string()) return *content;
    const json::array* parts = content->if_array();
    if (parts == nullptr) {
      Refuse(fmt::format(".{}", key), "must be a string or an array of parts",
             ErrorCode::kInvalidArgument);
      return "";
    }
    json::array read;
    for (size_t i = 0; i < parts->size(); ++i) {
      const json::object* part = (*parts)[i].if_object();
      const std::string_view type = part != nullptr ? TextAt(*part, "type") : "";
      if (type == "refusal") {
        read.push_back(*part);
      } else if (type == "input_text" || type == "output_text" || type == "text") {
        json::object text = *part;
        text["type"] = "text";
        read.push_back(std::move(text));
      } else {
        Refuse(fmt::format(".{}[{}].type", key, i),
               fmt::format("is '{}'; this model takes text only", type), ErrorCode::kUnsupported);
      }
    }
    return read;
  }

  void AddMessage(const json::object& item) {
    const std::string_view role = TextAt(item, "role");
    constexpr std::array<std::string_view, 4> kRoles = {"user", "assistant", "system", "developer"};
    if (std::ranges::find(kRoles, role) == kRoles.end()) {
      return Refuse(".role",
                    fmt::format("must be user, assistant, system or developer, not '{}'", role),
                    ErrorCode::kInvalidArgument);
    }
    json::value content = Content(item, "content");
    if (role == "assistant") {
      // Behind its own calls it is another turn's.
      if (assistant_.contains("content") || assistant_.contains("tool_calls")) Flush();
      assistant_["content"] = std::move(content);
      return;
    }
    Flush();
    messages_.push_back(json::object{{"role", role}, {"content", std::move(content)}});
  }

  void AddCall(const json::object& item) {
    if (TextAt(item, "call_id").empty() || TextAt(item, "name").empty()) {
      return Refuse("", "must have a 'call_id' and a 'name'", ErrorCode::kInvalidArgument);
    }
    json::value& calls = assistant_["tool_calls"];
    if (!calls.is_array()) calls = json::array();
    calls.get_array().push_back(
        {{"id", TextAt(item, "call_id")},
         {"type", "function"},
         {"function", {{"name", TextAt(item, "name")}, {"arguments", TextAt(item, "arguments")}}}});
  }

  void AddOutput(const json::object& item) {
    Flush();
    messages_.push_back(json::object{{"role", "tool"},
                                     {"tool_call_id", TextAt(item, "call_id")},
                                     {"content", Content(item, "output")}});
  }

  // As it was given (reply.cc): text in the open, or sealed.
  void AddReasoning(const json::object& item) {
    std::string text;
    const json::value* content = item.if_contains("content");
    const json::array* parts = content != nullptr ? content->if_array() : nullptr;
    for (const json::value& part : parts != nullptr ? *parts : json::array()) {
      if (part.is_object()) text += TextAt(part.get_object(), "text");
    }
    if (text.empty()) text = Unsealed(TextAt(item, "encrypted_content"));
    if (text.empty()) return;
    if (assistant_.contains("content") || assistant_.contains("tool_calls")) Flush();
    assistant_["reasoning_content"] = text;
  }

  static std::string Unsealed(std::string_view sealed) {
    std::string text = DecodeBase64(sealed).value_or("");
    return IsValidUtf8(text) ? text : std::string();
  }

  void Flush() {
    if (assistant_.empty()) return;
    json::object message = {{"role", "assistant"}};
    for (auto& [key, value] : std::exchange(assistant_, {})) message[key] = value;
    if (!message.contains("content")) message["content"] = nullptr;
    messages_.push_back(std::move(message));
  }

  FieldReader& fields_;
  const size_t first_;
  std::string path_;
  json::array messages_;
  json::object assistant_;  // the message being put together
};

}  // namespace

json::array ItemsOfInput(FieldReader& fields) {
  const json::value* input = fields.Find("input");
  if (input == nullptr) return {};
  if (input->is_string()) {
    return {{{"type", "message"}, {"role", "user"}, {"content", *input}}};
  }
  const json::array* items = fields.Array("input", limits::kMaxMessages);
  return items != nullptr ? *items : json::array();
}

json::array MessagesOfItems(FieldReader& fields, const json::array& items, size_t first) {
  Assembler assembler(fields, first);
  for (size_t i = 0; i < items.size() && fields.ok(); ++i) assembler.Add(items[i], i);
  json::array messages = assembler.Take();
  const std::string_view instructions = fields.String("instructions").value_or("");
  if (!instructions.empty()) {
    messages.insert(messages.begin(), json::object{{"role", "system"}, {"content", instructions}});
  }
  if (fields.ok() && messages.empty()) {
    fields.Refuse(ErrorCode::kInvalidArgument, "input",
                  "'input' must be a string or hold at least one item.");
  }
  return messages;
}

json::array ChatTools(FieldReader& fields, std::string& ignored) {
  // What only the vendor runs, and what stands for tools that another program offers.
  constexpr std::array<std::string_view, 4> kLeftOut = {"web_search", "web_search_preview",
                                                        "namespace", "image_generation"};
  json::array read;
  const json::array* tools = fields.Array("tools", limits::kMaxMessages);
  for (size_t i = 0; tools != nullptr && i < tools->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    const json::object* tool = (*tools)[i].if_object();
    const std::string_view type = tool != nullptr ? TextAt(*tool, "type") : "";
    if (std::ranges::find(kLeftOut, type) != kLeftOut.end()) {
      NoteIgnored(fmt::format("{} ({})", path, type), ignored);
      continue;
    }
    if (tool == nullptr || type != "function" || TextAt(*tool, "name").empty()) {
      fields.Refuse(
          ErrorCode::kUnsupported, path,
          fmt::format("'{}' must be of type 'function' and have a name; tools of type '{}' "
                      "are not supported.",
                      path, type));
      break;
    }
    json::object function;
    for (const char* key : {"name", "description", "parameters", "strict"}) {
      const json::value* value = tool->if_contains(key);
      if (value != nullptr && !value->is_null()) function[key] = *value;
    }
    read.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return read;
}

}  // namespace reprise

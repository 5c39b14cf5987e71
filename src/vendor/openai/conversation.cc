#include "vendor/openai/conversation.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/limits.h"
#include "vendor/json_reader.h"
#include "vendor/openai/messages.h"

namespace reprise {
namespace json = boost::json;
namespace {

// What would have to constrain the reply is refused, because ignoring it would look like success.
json::array ReadTools(FieldReader& fields, OutlineWriter& outline) {
  if (fields.Find("functions") != nullptr) {
    fields.Refuse(ErrorCode::kUnsupported, "functions",
                  "'functions' is not supported; send 'tools' instead.");
  }
  const json::value* choice = fields.Find("tool_choice");
  const bool none = choice != nullptr && *choice == "none";
  if (choice != nullptr && !none && *choice != "auto") {
    fields.Refuse(ErrorCode::kUnsupported, "tool_choice",
                  "'tool_choice' may be 'auto' or 'none'; forcing a call is not supported yet.");
  }
  const json::array* tools = fields.Array("tools", limits::kMaxMessages);
  if (tools == nullptr || none) return {};
  for (size_t i = 0; i < tools->size(); ++i) {
    if (!(*tools)[i].is_object()) {
      const std::string name = fmt::format("tools[{}]", i);
      fields.Refuse(ErrorCode::kInvalidArgument, name,
                    fmt::format("'{}' must be an object.", name));
      return {};
    }
    const json::value* type = (*tools)[i].get_object().if_contains("type");
    if (type != nullptr && *type != "function") {
      const std::string name = fmt::format("tools[{}].type", i);
      fields.Refuse(ErrorCode::kUnsupported, name,
                    fmt::format("'{}' may be 'function'; other tools are not supported.", name));
      return {};
    }
  }
  for (const json::value& tool : *tools) outline.AddTool(tool.get_object());
  return *tools;
}

}  // namespace

Result<Conversation> ReadOpenAiConversation(const json::object& body, std::optional<Duration> ttl,
                                            MarkerRules& rules) {
  FieldReader fields(body, "");
  Conversation conversation;
  OutlineWriter outline;
  Result<json::array> messages = ReadMessages(fields, ttl, rules, conversation.marks, outline);
  if (!messages) return std::unexpected(std::move(messages).error());
  conversation.messages = std::move(*messages);
  conversation.tools = ReadTools(fields, outline);
  conversation.add_generation_prompt = fields.Bool("add_generation_prompt").value_or(true);
  if (const json::object* arguments = fields.Object("chat_template_kwargs")) {
    conversation.arguments = *arguments;
  }
  if (!fields.ok()) return std::unexpected(fields.status().error());
  conversation.outline = outline.Take();
  return conversation;
}

}  // namespace reprise

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

// What tools were before they had that name.
json::array ToolsOfFunctions(const json::array& functions) {
  json::array tools;
  for (const json::value& function : functions) {
    tools.push_back({{"type", "function"}, {"function", function}});
  }
  return tools;
}

void CheckTool(FieldReader& fields, const json::value& tool, const std::string& name) {
  if (!tool.is_object()) {
    return fields.Refuse(ErrorCode::kInvalidArgument, name,
                         fmt::format("'{}' must be an object.", name));
  }
  const json::value* type = tool.get_object().if_contains("type");
  if (type != nullptr && *type != "function") {
    const std::string path = name + ".type";
    fields.Refuse(ErrorCode::kUnsupported, path,
                  fmt::format("'{}' may be 'function'; other tools are not supported.", path));
  }
}

json::array ReadTools(FieldReader& fields, OutlineWriter& outline) {
  const json::array* functions = fields.Array("functions", limits::kMaxMessages);
  const json::array* list = fields.Array("tools", limits::kMaxMessages);
  json::array tools;
  if (list != nullptr) {
    tools = *list;
  } else if (functions != nullptr) {
    tools = ToolsOfFunctions(*functions);
  }
  for (size_t i = 0; i < tools.size() && fields.ok(); ++i) {
    CheckTool(fields, tools[i], fmt::format("tools[{}]", i));
    if (fields.ok()) outline.AddTool(tools[i].get_object());
  }
  return tools;
}

}  // namespace

void AddEffort(std::optional<std::string_view> effort, json::object& arguments) {
  if (!effort) return;
  if (!arguments.contains("reasoning_effort")) arguments["reasoning_effort"] = *effort;
  if (!arguments.contains("enable_thinking")) arguments["enable_thinking"] = *effort != "none";
}

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
  AddEffort(fields.String("reasoning_effort"), conversation.arguments);
  if (!fields.ok()) return std::unexpected(fields.status().error());
  conversation.outline = outline.Take();
  return conversation;
}

}  // namespace reprise

#include "vendor/anthropic/form.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/limits.h"
#include "prompt/text_at.h"

namespace reprise {
namespace json = boost::json;
namespace {

void Refuse(FieldReader& fields, const std::string& path, std::string_view what) {
  fields.Refuse(ErrorCode::kInvalidArgument, path, fmt::format("{}: {}", path, what));
}

void ReadToolChoice(FieldReader& fields, WantedForm& wanted) {
  const json::object* choice = fields.Object("tool_choice");
  if (choice == nullptr) return;
  const std::string_view type = TextAt(*choice, "type");
  if (type == "none") {
    wanted.calls = WantedForm::Calls::kNone;
  } else if (type == "any" || type == "tool") {
    wanted.calls = WantedForm::Calls::kForced;
  } else if (type != "auto") {
    return Refuse(fields, "tool_choice.type", "Input should be 'auto', 'any', 'tool' or 'none'");
  }
  if (type == "tool") {
    const std::string_view name = TextAt(*choice, "name");
    if (name.empty()) return Refuse(fields, "tool_choice.name", "Field required");
    wanted.allowed = {std::string(name)};
    wanted.parallel = false;
  }
  const json::value* alone = choice->if_contains("disable_parallel_tool_use");
  if (alone != nullptr && *alone == true) wanted.parallel = false;
}

void ReadFormat(FieldReader& fields, const json::value& value, const std::string& path,
                WantedForm& wanted) {
  if (value.is_null()) return;
  const json::object* format = value.if_object();
  if (format == nullptr) return Refuse(fields, path, "Input should be an object");
  if (TextAt(*format, "type") != "json_schema") {
    return Refuse(fields, path + ".type", "Input should be 'json_schema'");
  }
  const json::value* schema = format->if_contains("schema");
  if (schema == nullptr || !schema->is_object()) {
    return Refuse(fields, path + ".schema", "Input should be an object");
  }
  wanted.schema = {schema->get_object(), false, path + ".schema"};
}

void ReadThinking(FieldReader& fields, json::object& arguments, WantedForm& wanted) {
  const json::object* thinking = fields.Object("thinking");
  if (thinking == nullptr) return;
  const std::string_view type = TextAt(*thinking, "type");
  if (type != "enabled" && type != "disabled" && type != "adaptive") {
    return Refuse(fields, "thinking.type", "Input should be 'enabled', 'disabled' or 'adaptive'");
  }
  arguments["enable_thinking"] = type != "disabled";
  FieldReader entries(*thinking, "thinking");
  if (const auto tokens = entries.Integer("budget_tokens", 1, limits::kMaxContext)) {
    if (type == "enabled") wanted.thinking_tokens = static_cast<int>(*tokens);
  }
  fields.Adopt(entries.status());
}

}  // namespace

WantedForm ReadAnthropicForm(FieldReader& fields, json::object& arguments) {
  WantedForm wanted;
  ReadToolChoice(fields, wanted);
  if (const json::value* format = fields.Find("output_format")) {
    ReadFormat(fields, *format, "output_format", wanted);
  }
  if (const json::object* output = fields.Object("output_config")) {
    if (const json::value* format = output->if_contains("format")) {
      ReadFormat(fields, *format, "output_config.format", wanted);
    }
    if (const std::string_view effort = TextAt(*output, "effort"); !effort.empty()) {
      arguments["reasoning_effort"] = effort;
    }
  }
  ReadThinking(fields, arguments, wanted);
  return wanted;
}

}  // namespace reprise

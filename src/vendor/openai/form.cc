#include "vendor/openai/form.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/limits.h"

namespace reprise {
namespace json = boost::json;
namespace {

using Calls = WantedForm::Calls;

// "none", "auto", "required"
std::optional<Calls> CallsOf(std::string_view mode) {
  if (mode == "auto") return Calls::kAuto;
  if (mode == "none") return Calls::kNone;
  if (mode == "required") return Calls::kForced;
  return std::nullopt;
}

void RefuseChoice(FieldReader& fields, std::string_view name) {
  fields.Refuse(ErrorCode::kInvalidArgument, name,
                fmt::format("'{}' may be 'none', 'auto', 'required', or name a function.", name));
}

// The name in {"type": "function", "function": {"name"}}, or beside the type; empty: none.
std::string FunctionName(const json::object& choice) {
  const json::value* function = choice.if_contains("function");
  const json::object* inner = function != nullptr ? function->if_object() : &choice;
  const json::value* name = inner != nullptr ? inner->if_contains("name") : nullptr;
  return name != nullptr && name->is_string() ? std::string(std::string_view(name->get_string()))
                                              : std::string();
}

// {"type": "allowed_tools", "mode", "tools"}, perhaps one level deeper, as in chat.
void ReadAllowedTools(FieldReader& fields, const json::object& choice, WantedForm& wanted) {
  const json::value* nested = choice.if_contains("allowed_tools");
  const json::object* allowed = nested != nullptr ? nested->if_object() : &choice;
  if (allowed == nullptr) return RefuseChoice(fields, "tool_choice");
  FieldReader entries(*allowed, "tool_choice.allowed_tools");
  const auto calls = CallsOf(entries.String("mode").value_or("auto"));
  const json::array* tools = entries.Array("tools", limits::kMaxMessages);
  fields.Adopt(entries.status());
  if (!calls || tools == nullptr || tools->empty()) return RefuseChoice(fields, "tool_choice");
  wanted.calls = *calls;
  for (const json::value& tool : *tools) {
    const std::string name = tool.is_object() ? FunctionName(tool.get_object()) : std::string();
    if (name.empty()) return RefuseChoice(fields, "tool_choice");
    wanted.allowed.push_back(name);
  }
}

// Of old: "none", "auto", {"name"}.
void ReadFunctionCall(FieldReader& fields, WantedForm& wanted) {
  const json::value* choice = fields.Find("function_call");
  if (choice == nullptr) return;
  wanted.choice_field = "function_call";
  wanted.parallel = false;
  if (const json::object* object = choice->if_object()) {
    wanted.calls = Calls::kForced;
    wanted.allowed = {FunctionName(*object)};
    return;
  }
  const auto calls = choice->is_string() ? CallsOf(choice->get_string()) : std::nullopt;
  if (!calls) return RefuseChoice(fields, "function_call");
  wanted.calls = *calls;
}

}  // namespace

void ReadToolChoice(FieldReader& fields, WantedForm& wanted) {
  const json::value* choice = fields.Find("tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) {
    const auto calls = CallsOf(choice->get_string());
    if (!calls) return RefuseChoice(fields, "tool_choice");
    wanted.calls = *calls;
    return;
  }
  const json::object* object = choice->if_object();
  if (object == nullptr) return RefuseChoice(fields, "tool_choice");
  const json::value* type = object->if_contains("type");
  if (type != nullptr && *type == "allowed_tools") return ReadAllowedTools(fields, *object, wanted);
  const std::string name = FunctionName(*object);
  if (name.empty()) return RefuseChoice(fields, "tool_choice");
  wanted.calls = Calls::kForced;
  wanted.allowed = {name};
  wanted.parallel = false;
}

void ReadResponseFormat(FieldReader& format, bool wrapped, WantedForm& wanted) {
  const std::string type(format.String("type").value_or(""));
  if (!format.ok() || type == "text") return;
  if (type == "json_object") {
    wanted.schema = {{{"type", "object"}}, false, format.PathOf("")};
    return;
  }
  if (type != "json_schema") {
    return format.Refuse(
        ErrorCode::kInvalidArgument, "type",
        fmt::format("'{}' may be 'text', 'json_object' or 'json_schema', not '{}'.",
                    format.PathOf("type"), type));
  }
  const json::object* outer = wrapped ? format.Object("json_schema") : &format.object();
  if (outer == nullptr) {
    return format.Refuse(ErrorCode::kInvalidArgument, "json_schema",
                         fmt::format("'{}' is missing.", format.PathOf("json_schema")));
  }
  FieldReader entries(*outer, wrapped ? format.PathOf("json_schema") : format.PathOf(""));
  const bool strict = entries.Bool("strict").value_or(false);
  const json::object* schema = entries.Object("schema");
  if (entries.ok() && schema == nullptr) {
    entries.Refuse(ErrorCode::kInvalidArgument, "schema",
                   fmt::format("'{}' is missing.", entries.PathOf("schema")));
  }
  format.Adopt(entries.status());
  if (schema != nullptr) wanted.schema = {*schema, strict, entries.PathOf("schema")};
}

WantedForm ReadOpenAiForm(FieldReader& fields) {
  WantedForm wanted;
  wanted.parallel = fields.Bool("parallel_tool_calls");
  ReadToolChoice(fields, wanted);
  ReadFunctionCall(fields, wanted);
  if (const json::object* format = fields.Object("response_format")) {
    FieldReader entries(*format, "response_format");
    ReadResponseFormat(entries, /*wrapped=*/true, wanted);
    fields.Adopt(entries.status());
  }
  ReadGrammarFields(fields, wanted);
  if (const auto tokens = fields.Integer("thinking_budget", 0, limits::kMaxContext)) {
    wanted.thinking_tokens = static_cast<int>(*tokens);
  }
  return wanted;
}

}  // namespace reprise

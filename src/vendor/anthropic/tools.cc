#include "vendor/anthropic/tools.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"

namespace reprise {
namespace json = boost::json;
namespace {

// Tools that the vendor defines and the client runs: their types say which, with a date behind, and
// their parameters are known (https://docs.claude.com/en/docs/agents-and-tools/tool-use).
struct KnownTool {
  std::string_view type;
  std::string_view description;
  std::string_view parameters;
};
constexpr KnownTool kKnownTools[] = {
    {"bash_", "Runs a command in a persistent bash session.",
     R"({"type": "object", "properties": {
       "command": {"type": "string", "description": "The command to run"},
       "restart": {"type": "boolean", "description": "Whether to restart the session"}}})"},
    {"text_editor_", "Views, creates and edits files.",
     R"({"type": "object", "properties": {
       "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert"]},
       "path": {"type": "string"}, "file_text": {"type": "string"},
       "old_str": {"type": "string"}, "new_str": {"type": "string"},
       "insert_line": {"type": "integer"}, "insert_text": {"type": "string"},
       "view_range": {"type": "array", "items": {"type": "integer"}}},
       "required": ["command", "path"]})"},
    {"memory_", "Views, creates and edits files below /memories.",
     R"({"type": "object", "properties": {
       "command": {"type": "string",
                   "enum": ["view", "create", "str_replace", "insert", "delete", "rename"]},
       "path": {"type": "string"}, "file_text": {"type": "string"},
       "old_str": {"type": "string"}, "new_str": {"type": "string"},
       "insert_line": {"type": "integer"}, "insert_text": {"type": "string"},
       "old_path": {"type": "string"}, "new_path": {"type": "string"},
       "view_range": {"type": "array", "items": {"type": "integer"}}},
       "required": ["command"]})"},
};

// As a function with the client's name for it; nullopt: it is none of these.
std::optional<json::object> KnownFunction(const json::object& tool, std::string_view type) {
  for (const KnownTool& known : kKnownTools) {
    if (!type.starts_with(known.type)) continue;
    const json::value* name = tool.if_contains("name");
    if (name == nullptr || !name->is_string()) return std::nullopt;
    return json::object{{"type", "function"},
                        {"function",
                         {{"name", *name},
                          {"description", known.description},
                          {"parameters", json::parse(known.parameters)}}}};
  }
  return std::nullopt;
}

std::optional<json::object> ReadTool(const json::object& tool, const std::string& path,
                                     BlockReader& blocks) {
  const std::string_view type = TypeOf(tool);
  if (std::optional<json::object> known = KnownFunction(tool, type)) return known;
  if (!type.empty() && type != "custom") {
    blocks.Refuse(path, fmt::format("tools of type '{}' are not supported by this model", type),
                  ErrorCode::kUnsupported);
    return std::nullopt;
  }
  const json::value* name = tool.if_contains("name");
  if (name == nullptr || !name->is_string() || name->get_string().empty()) {
    blocks.Refuse(path + ".custom.name", "Input should be a string of at least one character");
    return std::nullopt;
  }
  const json::value* schema = tool.if_contains("input_schema");
  if (schema == nullptr || !schema->is_object()) {
    blocks.Refuse(path + ".custom.input_schema", "Input should be an object");
    return std::nullopt;
  }
  const json::value* schema_type = schema->get_object().if_contains("type");
  if (schema_type == nullptr || *schema_type != "object") {
    blocks.Refuse(path + ".custom.input_schema.type", "Input should be 'object'");
    return std::nullopt;
  }
  json::object function = {{"name", *name}};
  const json::value* description = tool.if_contains("description");
  if (description != nullptr && description->is_string()) function["description"] = *description;
  function["parameters"] = *schema;
  const json::value* strict = tool.if_contains("strict");
  if (strict != nullptr && *strict == true) function["strict"] = true;
  return json::object{{"type", "function"}, {"function", std::move(function)}};
}

}  // namespace

json::array ReadTools(BlockReader& blocks, CacheControlMarks& marks, OutlineWriter& outline) {
  json::array read;
  const json::array* tools = blocks.fields().Array("tools", limits::kMaxMessages);
  if (tools == nullptr) return read;
  for (size_t i = 0; i < tools->size() && blocks.ok(); ++i) {
    const std::string path = fmt::format("tools.{}", i);
    const json::object* tool = (*tools)[i].if_object();
    if (tool == nullptr) {
      blocks.Refuse(path, "Input should be an object");
      break;
    }
    std::optional<json::object> function = ReadTool(*tool, path, blocks);
    if (!function) break;
    outline.AddTool(*function);
    read.push_back(*std::move(function));
    marks.AddBlock(*tool, path, {CacheMark::Place::kTool, i, 0, {}});
  }
  return read;
}

}  // namespace reprise

#include "vendor/anthropic/tools.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"

namespace reprise {
namespace json = boost::json;
namespace {

std::optional<json::object> ReadTool(const json::object& tool, const std::string& path,
                                     BlockReader& blocks) {
  const std::string_view type = TypeOf(tool);
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

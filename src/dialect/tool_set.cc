#include "dialect/tool_set.h"

#include <algorithm>
#include <utility>

namespace reprise {
namespace json = boost::json;

bool Tool::TakesText(std::string_view parameter) const {
  const json::value* properties = parameters.if_contains("properties");
  const json::object* named = properties != nullptr ? properties->if_object() : nullptr;
  const json::value* schema = named != nullptr ? named->if_contains(parameter) : nullptr;
  const json::object* keywords = schema != nullptr ? schema->if_object() : nullptr;
  const json::value* type = keywords != nullptr ? keywords->if_contains("type") : nullptr;
  return type != nullptr && *type == "string";
}

ToolSet::ToolSet(const json::array& tools) {
  for (const json::value& value : tools) {
    const json::object* tool = value.if_object();
    const json::value* inner = tool != nullptr ? tool->if_contains("function") : nullptr;
    const json::object* function = inner != nullptr ? inner->if_object() : nullptr;
    const json::value* name = function != nullptr ? function->if_contains("name") : nullptr;
    if (name == nullptr || !name->is_string()) continue;
    Tool read;
    read.name = std::string_view(name->get_string());
    const json::value* parameters = function->if_contains("parameters");
    if (parameters != nullptr && parameters->is_object())
      read.parameters = parameters->get_object();
    const json::value* strict = function->if_contains("strict");
    read.strict = strict != nullptr && *strict == true;
    tools_.push_back(std::move(read));
  }
}

const Tool* ToolSet::Find(std::string_view name) const {
  const auto found = std::ranges::find(tools_, name, &Tool::name);
  return found == tools_.end() ? nullptr : &*found;
}

}  // namespace reprise

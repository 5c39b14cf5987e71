#include "vendor/schema_fault.h"

#include <fmt/format.h>

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise {
namespace json = boost::json;
namespace {

// How long it is looked for; a schema takes a few milliseconds.
constexpr auto kLongest = std::chrono::seconds(1);

struct Part {
  std::string path;
  json::object schema;
};

void AddPart(std::string path, const json::value& value, std::vector<Part>& parts) {
  if (const json::object* schema = value.if_object()) parts.push_back({std::move(path), *schema});
}

// The schemas right inside of one.
std::vector<Part> PartsOf(const json::object& schema) {
  std::vector<Part> parts;
  for (const auto& [key, value] : schema) {
    const std::string_view name = key;
    const bool named = name == "properties" || name == "$defs" || name == "definitions" ||
                       name == "patternProperties";
    if (named && value.is_object()) {
      for (const auto& [inner, each] : value.get_object()) {
        AddPart(fmt::format("{}.{}", name, std::string_view(inner)), each, parts);
      }
    } else if (name == "items" || name == "additionalProperties") {
      AddPart(std::string(name), value, parts);
    } else if ((name == "anyOf" || name == "allOf" || name == "oneOf" || name == "prefixItems") &&
               value.is_array()) {
      for (size_t i = 0; i < value.get_array().size(); ++i) {
        AddPart(fmt::format("{}[{}]", name, i), value.get_array()[i], parts);
      }
    }
  }
  return parts;
}

class Search {
 public:
  Search(const json::object& root, const GrammarCompiler& compiler)
      : root_(root), compiler_(compiler) {}

  std::string In(const json::object& schema) {
    for (Part& part : PartsOf(schema)) {
      if (std::chrono::steady_clock::now() > until_) break;
      if (Compiles(part.schema)) continue;
      const std::string inner = In(part.schema);
      return inner.empty() ? part.path : part.path + "." + inner;
    }
    return "";
  }

 private:
  // With what the whole defines, and is compiled with.
  bool Compiles(json::object part) const {
    for (const char* shared : {"$defs", "definitions", "x-guidance"}) {
      const json::value* value = root_.if_contains(shared);
      if (value != nullptr && !part.contains(shared)) part[shared] = *value;
    }
    return compiler_.Compile({GrammarSource::Kind::kSchema, json::serialize(part)}).has_value();
  }

  const json::object& root_;
  const GrammarCompiler& compiler_;
  const std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::now() + kLongest;
};

}  // namespace

std::string PlaceOfFault(const json::object& schema, const GrammarCompiler& compiler) {
  return Search(schema, compiler).In(schema);
}

}  // namespace reprise

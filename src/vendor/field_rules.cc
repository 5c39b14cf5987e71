#include "vendor/field_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace reprise {
namespace json = boost::json;
namespace {

constexpr size_t kMaxShownBytes = 256;

bool AsksForNothing(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return true;
    case json::kind::bool_:
      return !value.get_bool();
    case json::kind::string:
      return value.get_string().empty();
    case json::kind::array:
      return value.get_array().empty();
    case json::kind::object:
      return value.get_object().empty();
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return value.to_number<double>() == 0;
  }
  return false;
}

bool IsPlainName(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, is_plain);
}

}  // namespace

std::string ApplyFieldRules(std::span<const FieldRule> rules, FieldReader& fields) {
  std::string ignored;
  for (const auto& [key, value] : fields.object()) {
    const std::string_view name = key;
    const auto rule = std::ranges::find(rules, name, &FieldRule::name);
    if (rule == rules.end()) {
      const std::string_view shown = IsPlainName(name) ? name : "(another)";
      if (ignored.size() + shown.size() + 2 > kMaxShownBytes) continue;
      ignored += fmt::format("{}{}", ignored.empty() ? "" : ", ", shown);
    } else if (rule->use == FieldUse::kRefused && !AsksForNothing(value)) {
      fields.Refuse(ErrorCode::kUnsupported, name,
                    fmt::format("'{}' is not supported here, and leaving it out of account would "
                                "change the reply.",
                                name));
    }
  }
  return ignored;
}

}  // namespace reprise

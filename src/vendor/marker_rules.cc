#include "vendor/marker_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace reprise {
namespace json = boost::json;
namespace {

constexpr size_t kMaxWarnings = 4;  // shown one by one; a header has its limits

constexpr std::array<std::pair<char, std::chrono::seconds>, 4> kUnits = {{
    {'d', std::chrono::days(1)},
    {'h', std::chrono::hours(1)},
    {'m', std::chrono::minutes(1)},
    {'s', std::chrono::seconds(1)},
}};

// 'a', 'b' or 'c'
std::string Listed(std::initializer_list<std::string_view> values) {
  std::string list;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) list += i + 1 < values.size() ? ", " : " or ";
    list += fmt::format("'{}'", values.begin()[i]);
  }
  return list;
}

}  // namespace

std::optional<Duration> ParseTtl(std::string_view text) {
  uint32_t count = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, count);
  if (failure != std::errc() || stopped + 1 != end || count == 0) return std::nullopt;
  for (const auto& [letter, unit] : kUnits) {
    // 100,000 days are no lifetime, and Duration must hold it.
    if (letter == *stopped && count <= std::chrono::days(100'000) / unit) return unit * count;
  }
  return std::nullopt;
}

std::string TtlText(Duration ttl) {
  for (const auto& [letter, unit] : kUnits) {
    if (ttl >= unit && ttl % unit == Duration::zero())
      return fmt::format("{}{}", ttl / unit, letter);
  }
  return fmt::format("{}ms", std::chrono::duration_cast<std::chrono::milliseconds>(ttl).count());
}

void MarkerRules::Breach(std::string_view path, std::string_view what) {
  std::string message = path.empty() ? std::string(what) : fmt::format("{}: {}", path, what);
  if (policy_.strict_api) {
    if (status_) status_ = Fail(ErrorCode::kInvalidArgument, std::move(message), std::string(path));
    return;
  }
  ++breaches_;
  if (warnings_.size() < kMaxWarnings) warnings_.push_back(std::move(message));
}

std::string MarkerRules::warning() const {
  std::string text;
  for (const std::string& warning : warnings_) {
    text += fmt::format("{}{}", text.empty() ? "" : " | ", warning);
  }
  if (breaches_ > warnings_.size()) text += fmt::format(" | and {} more", breaches_ - kMaxWarnings);
  return text;
}

std::optional<Duration> MarkerRules::Ttl(const json::object& object, std::string_view path,
                                         std::initializer_list<std::string_view> vendor) {
  const json::value* ttl = object.if_contains("ttl");
  if (ttl == nullptr || ttl->is_null()) return std::nullopt;
  const std::string ttl_path = fmt::format("{}.ttl", path);
  const std::string_view text = ttl->is_string() ? std::string_view(ttl->get_string()) : "";
  const std::optional<Duration> parsed = ParseTtl(text);
  const bool is_vendors = std::ranges::find(vendor, text) != vendor.end();
  if (!parsed || (policy_.strict_api && !is_vendors)) {
    Breach(ttl_path, fmt::format("Input should be {}", Listed(vendor)));
    return std::nullopt;
  }
  if (*parsed > policy_.ttl_max) {
    Breach(ttl_path, fmt::format("the longest lifetime here is {}", TtlText(policy_.ttl_max)));
    return policy_.ttl_max;
  }
  return parsed;
}

}  // namespace reprise

#include "api/marker_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace reprise {
namespace json = boost::json;
namespace {

constexpr auto kAnthropicTtl = std::chrono::minutes(5);
constexpr auto kOpenAiTtl = std::chrono::minutes(30);
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

std::optional<Duration> MarkerRules::CacheControl(const json::object& block,
                                                  std::string_view path) {
  const json::value* control = block.if_contains("cache_control");
  if (control == nullptr || control->is_null()) return std::nullopt;
  const std::string control_path =
      path.empty() ? "cache_control" : fmt::format("{}.cache_control", path);
  const json::object* object = control->if_object();
  if (object == nullptr) {
    Breach(control_path, "Input should be an object");
    return std::nullopt;
  }
  const json::value* type = object->if_contains("type");
  if (type == nullptr || *type != "ephemeral") {
    Breach(fmt::format("{}.type", control_path), "Input should be 'ephemeral'");
    return std::nullopt;
  }
  const json::value* ttl = object->if_contains("ttl");
  if (ttl == nullptr || ttl->is_null()) return std::min<Duration>(kAnthropicTtl, policy_.ttl_max);
  return Ttl(*object, control_path, {"5m", "1h"});
}

std::optional<Duration> MarkerRules::Breakpoint(const json::object& part, std::string_view path,
                                                std::optional<Duration> inherited) {
  const json::value* breakpoint = part.if_contains("prompt_cache_breakpoint");
  if (breakpoint == nullptr || breakpoint->is_null()) return std::nullopt;
  const std::string breakpoint_path = fmt::format("{}.prompt_cache_breakpoint", path);
  const json::object* object = breakpoint->if_object();
  if (object == nullptr) {
    Breach(breakpoint_path, "Input should be an object");
    return std::nullopt;
  }
  const json::value* mode = object->if_contains("mode");
  if (mode == nullptr || *mode != "explicit") {
    Breach(fmt::format("{}.mode", breakpoint_path), "Input should be 'explicit'");
    return std::nullopt;
  }
  const json::value* ttl = object->if_contains("ttl");
  if (ttl == nullptr || ttl->is_null()) {
    return inherited.value_or(std::min<Duration>(kOpenAiTtl, policy_.ttl_max));
  }
  return Ttl(*object, breakpoint_path, {"30m", "12h"});
}

std::vector<CacheMark> MarkerRules::SettleAnthropic(const std::vector<CacheMark>& marks,
                                                    const std::vector<std::string>& paths,
                                                    size_t found) {
  if (found > kMaxMarks) {
    Breach("", fmt::format("A maximum of {} blocks with cache_control may be provided. Found {}.",
                           kMaxMarks, found));
  }
  std::vector<CacheMark> settled;
  for (size_t i = 0; i < marks.size(); ++i) {
    if (!settled.empty() && marks[i].ttl > settled.back().ttl) {
      Breach(fmt::format("{}.ttl", paths[i]),
             fmt::format("a ttl='{}' cache_control block must not come after a ttl='{}' "
                         "cache_control block. Note that blocks are processed in the following "
                         "order: `tools`, `system`, `messages`.",
                         TtlText(marks[i].ttl), TtlText(settled.back().ttl)));
      continue;
    }
    settled.push_back(marks[i]);
  }
  return settled;
}

std::vector<CacheMark> MarkerRules::SettleOpenAi(std::vector<CacheMark> marks, size_t places) {
  if (marks.size() > places) {
    marks.erase(marks.begin(), marks.end() - static_cast<std::ptrdiff_t>(places));
  }
  return marks;
}

}  // namespace reprise

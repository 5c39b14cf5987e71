#include "router/usage_reader.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdint>

#include "base/fleet_limits.h"
#include "vendor/json_reader.h"

namespace reprise {
namespace json = boost::json;
namespace {

constexpr std::array<std::string_view, 2> kKeys = {"\"usage\"", "\"timings\""};
constexpr size_t kLongestKey = 9;

struct KeyPlace {
  size_t begin = std::string_view::npos;
  size_t end = 0;
};

// In a string of JSON the quotes would have backslashes before them, so this is a key.
KeyPlace FirstKey(std::string_view text) {
  KeyPlace first;
  for (const std::string_view key : kKeys) {
    const size_t at = text.find(key);
    if (at < first.begin) first = {at, at + key.size()};
  }
  return first;
}

// Bytes of the object that begins the text, white space and the colon before it included; 0: it is
// not whole yet; npos: there is none.
size_t ObjectBytes(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n:");
  if (begin == std::string_view::npos) return 0;
  if (text[begin] != '{') return std::string_view::npos;
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = begin; i < text.size(); ++i) {
    if (quoted) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        quoted = false;
      continue;
    }
    if (text[i] == '"') quoted = true;
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) return i + 1;
  }
  return 0;
}

std::optional<size_t> SizeAt(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const auto number = value != nullptr ? ToInteger(*value) : std::nullopt;
  if (!number || *number < 0) return std::nullopt;
  return static_cast<size_t>(*number);
}

std::optional<size_t> CachedIn(const json::object& usage, std::string_view details) {
  const json::value* value = usage.if_contains(details);
  if (value == nullptr || !value->is_object()) return std::nullopt;
  return SizeAt(value->get_object(), "cached_tokens");
}

std::optional<PromptUsage> UsageOf(const json::object& said) {
  if (const auto computed = SizeAt(said, "prompt_n")) {  // llama-server's timings
    const auto cached = SizeAt(said, "cache_n");
    return PromptUsage{*computed + cached.value_or(0), cached};
  }
  if (const auto all = SizeAt(said, "prompt_tokens")) {
    return PromptUsage{*all, CachedIn(said, "prompt_tokens_details")};
  }
  const auto input = SizeAt(said, "input_tokens");
  if (!input) return std::nullopt;
  if (const auto read = SizeAt(said, "cache_read_input_tokens")) {  // Anthropic's: three parts
    const size_t written = SizeAt(said, "cache_creation_input_tokens").value_or(0);
    return PromptUsage{*input + *read + written, read};
  }
  return PromptUsage{*input, CachedIn(said, "input_tokens_details")};
}

}  // namespace

void UsageReader::Take(std::string_view object) {
  object.remove_prefix(object.find('{'));
  const auto parsed = ParseJsonObject(object);
  if (!parsed) return;
  const std::optional<PromptUsage> usage = UsageOf(*parsed);
  const bool says_less = found_ && found_->cached_tokens && usage && !usage->cached_tokens;
  if (usage && !says_less) found_ = usage;
}

void UsageReader::Put(std::string_view bytes) {
  rest_ += bytes;
  std::string_view left = rest_;
  for (;;) {
    const KeyPlace key = FirstKey(left);
    if (key.begin == std::string_view::npos) {
      left.remove_prefix(left.size() - std::min(left.size(), kLongestKey - 1));
      break;
    }
    const size_t object = ObjectBytes(left.substr(key.end));
    if (object == 0 && left.size() - key.begin <= limits::kMaxUsageBytes) {
      left.remove_prefix(key.begin);
      break;
    }
    const bool whole = object != 0 && object != std::string_view::npos;
    if (whole) Take(left.substr(key.end, object));
    left.remove_prefix(key.end + (whole ? object : 0));
  }
  rest_ = std::string(left);
}

}  // namespace reprise

#include "history/changed_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "history/prompt_text.h"

namespace reprise {
namespace {

constexpr size_t kMostWords = 10;  // "Sunday, 29 November 2026 at 14:03:22 UTC" and a little more
constexpr size_t kMostBytes = 120;
constexpr size_t kSameAgain = 24;  // bytes: fewer may be equal by chance

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// What holds a value together: also the signs inside times, dates, paths and characters beyond
// ASCII.
bool IsInValue(char c) {
  return IsDigit(c) || IsLetter(c) || std::string_view("-:._+/").contains(c) || (c & 0x80) != 0;
}

size_t EndOfWord(std::string_view text, size_t at) {
  while (at < text.size() && IsInValue(text[at])) ++at;
  return at;
}

size_t EndOfGap(std::string_view text, size_t at) {
  while (at < text.size() && !IsInValue(text[at])) ++at;
  return at;
}

std::string_view WithoutStops(std::string_view word) {
  while (!word.empty() && std::string_view(".:-/").contains(word.back())) word.remove_suffix(1);
  return word;
}

bool IsSameAgain(std::string_view ours, std::string_view theirs) {
  const size_t common = CommonBytes(ours, theirs);
  return common >= kSameAgain || (common == ours.size() && common == theirs.size());
}

// -- Names ----------------------------------------------------------------------------------------

bool HasNumber(std::string_view text, size_t at, size_t least, size_t most) {
  size_t digits = 0;
  while (at + digits < text.size() && IsDigit(text[at + digits])) ++digits;
  return digits >= least && digits <= most;
}

// h:mm or hh:mm somewhere in it.
bool HasClock(std::string_view text) {
  for (size_t i = 1; i + 2 < text.size(); ++i) {
    if (text[i] == ':' && IsDigit(text[i - 1]) && HasNumber(text, i + 1, 2, 2)) return true;
  }
  return false;
}

// yyyy-mm-dd, dd.mm.yyyy, mm/dd/yyyy: three numbers with one sign between them, one of four digits.
bool HasNumericDate(std::string_view text) {
  for (const char sign : {'-', '.', '/'}) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (!IsDigit(text[i]) || (i > 0 && IsDigit(text[i - 1]))) continue;
      const size_t second = text.find(sign, i);
      if (second == std::string_view::npos) break;
      const size_t third = text.find(sign, second + 1);
      if (third == std::string_view::npos) break;
      const bool year_first = second - i == 4 && HasNumber(text, third + 1, 1, 2);
      const bool year_last = second - i <= 2 && HasNumber(text, third + 1, 4, 4);
      const bool numbers = HasNumber(text, i, second - i, second - i) && third - second <= 3 &&
                           HasNumber(text, second + 1, third - second - 1, third - second - 1);
      if (numbers && (year_first || year_last)) return true;
    }
  }
  return false;
}

bool IsDayOrMonth(std::string_view word) {
  constexpr std::array<std::string_view, 19> kNames = {
      "monday",  "tuesday",   "wednesday", "thursday", "friday",  "saturday", "sunday",
      "january", "february",  "march",     "april",    "may",     "june",     "july",
      "august",  "september", "october",   "november", "december"};
  std::string lower;
  for (const char c : WithoutStops(word)) lower += static_cast<char>(c | 0x20);
  if (lower.size() < 3) return false;
  return std::ranges::any_of(
      kNames, [&](std::string_view name) { return lower == name || lower == name.substr(0, 3); });
}

template <typename Test>
bool AnyWord(std::string_view text, Test test) {
  for (size_t at = EndOfGap(text, 0); at < text.size();) {
    const size_t end = EndOfWord(text, at);
    if (test(text.substr(at, end - at))) return true;
    at = EndOfGap(text, end);
  }
  return false;
}

// Letters and digits mixed, or hexadecimal digits in a row, at least eight; groups by hyphens count
// together.
bool IsIdentifier(std::string_view word) {
  word = WithoutStops(word);
  const auto digits = std::ranges::count_if(word, IsDigit);
  const auto hex = std::ranges::count_if(word, IsHex);
  const auto hyphens = std::ranges::count(word, '-');
  const bool mixed = digits >= 2 && std::ranges::any_of(word, IsLetter);
  const bool all_hex = hex + hyphens == static_cast<long>(word.size()) && hex >= 16;
  return word.size() >= 8 && (mixed || all_hex);
}

std::optional<int64_t> WholeNumber(std::string_view text) {
  text = WithoutStops(text);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool IsNumber(std::string_view text) {
  return std::ranges::any_of(text, IsDigit) && std::ranges::all_of(text, [](char c) {
           return IsDigit(c) || std::string_view("-+.,% ").contains(c);
         });
}

}  // namespace

ValueKind KindOf(std::string_view now, std::string_view before) {
  const auto both = [&](auto test) { return test(now) && test(before); };
  if (both(HasClock)) return ValueKind::kClock;
  if (both(HasNumericDate)) return ValueKind::kDate;
  if (both([](std::string_view text) { return AnyWord(text, IsDayOrMonth); })) {
    return ValueKind::kDate;
  }
  if (both([](std::string_view text) { return AnyWord(text, IsIdentifier); })) {
    return ValueKind::kIdentifier;
  }
  const auto number = WholeNumber(now), number_before = WholeNumber(before);
  if (number && number_before && *number == *number_before + 1) return ValueKind::kCounter;
  return both(IsNumber) ? ValueKind::kNumber : ValueKind::kWords;
}

namespace {

// A bare number beside a day or a month is a date.
bool IsInDate(std::string_view text, size_t begin, size_t end) {
  const size_t next = EndOfGap(text, end);
  size_t before_end = begin;
  while (before_end > 0 && !IsInValue(text[before_end - 1])) --before_end;
  size_t before = before_end;
  while (before > 0 && IsInValue(text[before - 1])) --before;
  return IsDayOrMonth(text.substr(next, EndOfWord(text, next) - next)) ||
         IsDayOrMonth(text.substr(before, before_end - before));
}

// "nine" of "nine o'clock".
bool IsInClock(std::string_view text, size_t end) {
  const std::string_view rest = text.substr(end);
  return rest.starts_with(" o'clock") || rest.starts_with(" o’clock");
}

}  // namespace

std::optional<ChangedValue> FindChangedValue(std::string_view ours, std::string_view theirs,
                                             size_t at) {
  ChangedValue value;
  value.begin = at;
  while (value.begin > 0 && at - value.begin < kMostBytes && IsInValue(ours[value.begin - 1])) {
    --value.begin;
  }
  size_t our_at = value.begin, their_at = value.begin;
  for (size_t words = 0; words < kMostWords; ++words) {
    const size_t our_end = EndOfWord(ours, our_at), their_end = EndOfWord(theirs, their_at);
    if (std::max(our_end, their_end) - value.begin > kMostBytes) return std::nullopt;
    if (IsSameAgain(ours.substr(our_end), theirs.substr(their_end))) {
      const std::string_view now = WithoutStops(ours.substr(value.begin, our_end - value.begin));
      const std::string_view before =
          WithoutStops(theirs.substr(value.begin, their_end - value.begin));
      if (now.empty() || before.empty() || now == before) return std::nullopt;
      value.our_end = value.begin + now.size();
      value.their_end = value.begin + before.size();
      value.kind = KindOf(now, before);
      const bool bare = value.kind == ValueKind::kCounter || value.kind == ValueKind::kNumber;
      if (bare && IsInDate(ours, value.begin, our_end)) value.kind = ValueKind::kDate;
      if (IsInClock(ours, our_end)) value.kind = ValueKind::kClock;
      return value;
    }
    our_at = EndOfGap(ours, our_end);
    their_at = EndOfGap(theirs, their_end);
    if (ours.substr(our_end, our_at - our_end) != theirs.substr(their_end, their_at - their_end)) {
      return std::nullopt;
    }
    if (our_at == ours.size() || their_at == theirs.size()) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace reprise

#pragma once

// A short value inside a text that changes from one request to the next: a clock, a date, an
// identifier, a counter. Found by comparing the two texts word by word around the place where they
// differ, and named by simple rules. Pure functions; any thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace reprise {

enum class ValueKind : uint8_t {
  kClock,       // a time of day, alone or with its date: "14:03", "nine o'clock"
  kDate,        // "2026-11-29", "29 November", "Sunday"
  kIdentifier,  // a uuid, a hash, "req_8f3a01"
  kCounter,     // a whole number that grew by one
  kNumber,
  kWords,  // anything else
};

// In bytes of the two texts: the value is [begin, end) of each. Whole characters, whole words.
struct ChangedValue {
  size_t begin = 0;  // the same in both
  size_t our_end = 0;
  size_t their_end = 0;
  ValueKind kind = ValueKind::kWords;
};

// Where the two texts, equal up to byte `at` and different there, are equal again after a few words
// of few characters, and stay so for a while or to the end of both. nullopt if they do not.
std::optional<ChangedValue> FindChangedValue(std::string_view ours, std::string_view theirs,
                                             size_t at);

// `before` is theirs, the earlier one.
ValueKind KindOf(std::string_view now, std::string_view before);

}  // namespace reprise

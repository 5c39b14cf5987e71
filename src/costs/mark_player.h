#pragma once

// Traffic played by a vendor's rules: what would have been read, written and computed, each request
// at its own time. An entry counts from the start of the request that writes it, and is gone when
// its lifetime is over, to the millisecond. What a vendor's cache loses early, by load or by
// routing to another machine, is not played: this is what the rules promise. Pure; not thread-safe.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "costs/price_sheet.h"
#include "costs/traffic.h"

namespace reprise {

// A mark that a prompt is played with.
struct PlayedMark {
  size_t place = 0;     // of the prompt's places
  size_t lifetime = 0;  // of the rules' lifetimes

  bool operator==(const PlayedMark&) const = default;
};

// The vendor's marks. With A the end of the longest entry found and, from the longest lifetime L to
// the shortest, B(L) the last mark of it behind all before: B(longest) − A tokens are written for
// that, and so on; what is behind the last mark is computed, and kept by nobody. (Anthropic's
// documentation, for two lifetimes.) Each mark looks for entries at its own place and then at
// the ends of the blocks before it, `lookback` of them in all. Entries that are read or marked
// again are renewed with the lifetime that they were written for, if the rules say so.
class MarkPlayer {
 public:
  MarkPlayer(const Traffic& traffic, const CacheRules& rules);

  // `marks` ascending; those on prefixes under the minimum count for nothing.
  // REQUIRES: in the order of time; at most rules.marks of them.
  PromptTokens Play(const TrafficPrompt& prompt, std::span<const PlayedMark> marks);
  // Nothing is cached any more.
  void Forget();

 private:
  struct Entry {
    int64_t ends_ms = std::numeric_limits<int64_t>::min();  // ascending times of requests
    int64_t lifetime_ms = 0;
  };

  // Tokens of the longest live entry that the mark at `place` finds; 0: none.
  size_t Find(const TrafficPrompt& prompt, size_t place) const;
  void Keep(const TrafficPrompt& prompt, std::span<const PlayedMark> marks, size_t read);
  void Renew(Entry& entry, int64_t now_ms) const;

  const CacheRules& rules_;
  std::vector<Entry> entries_;     // by prefix
  std::vector<uint32_t> written_;  // prefixes that have one
};

// The marks that a client sent, in this vendor's terms: the shortest lifetime that lasts as long,
// or its longest; the latest, where they are more than it takes. Where the vendor marks the end by
// itself, that is one of them.
std::vector<PlayedMark> SentMarks(const TrafficPrompt& prompt, const CacheRules& rules);
// The mark that AutomaticCaching::kMark sets.
std::vector<PlayedMark> EndMark(const TrafficPrompt& prompt);

using MarkChoice = std::function<std::vector<PlayedMark>(const TrafficPrompt&)>;
PromptTokens PlayMarks(const Traffic& traffic, const CacheRules& rules, const MarkChoice& marks_of);

// What caching by itself gives: for kPrefix the longest prefix whose every token was used within
// the lifetime, rounded down to steps, in prompts and prefixes of the minimum or more; else one
// mark at the end of the last part.
PromptTokens PlayAutomatic(const Traffic& traffic, const CacheRules& rules);

}  // namespace reprise

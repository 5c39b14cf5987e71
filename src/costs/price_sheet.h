#pragma once

// What a vendor publishes: list prices and how its cache works. The sheets are data,
// bench/article/prices.toml, which the build embeds (write_sheets.py); that file says what each
// value means and where documentation leaves something open. Values and pure functions; any thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

enum class AutomaticCaching : uint8_t {
  kPrefix,     // the longest prefix shared with an earlier prompt, in steps; written at input price
  kMark,       // the end of the last part is marked by itself
  kAskedMark,  // … where the request asks for that as a whole
};

struct MarkLifetime {
  std::string name;  // as the vendor writes it: "5m"
  int64_t seconds = 0;
  double write = 0;  // price of a token that is written for so long

  bool operator==(const MarkLifetime&) const = default;
};

struct CacheRules {
  size_t minimum = 0;  // tokens of the shortest prefix that is cached
  AutomaticCaching automatic = AutomaticCaching::kPrefix;
  size_t step = 1;                           // tokens; kPrefix only
  int64_t lifetime_seconds = 0;              // from its last use; kPrefix only
  size_t marks = 0;                          // of a request; 0: there are none
  size_t lookback = 0;                       // ends of blocks that a mark looks at; 0: all
  std::vector<MarkLifetime> lifetimes = {};  // of marks; the first is the default
  bool renews = false;                       // a hit lets a mark's lifetime begin anew
};

// Whether both cache the same of any prompts, whatever it costs.
bool SameCaching(const CacheRules& a, const CacheRules& b);

// Prices of a million tokens: dollars, or prices of uncached input where `is_rule`.
struct PriceSheet {
  std::string name;
  std::string vendor;
  std::string date;  // "2026-10"
  bool is_rule = false;
  double input = 0;
  double read = 0;
  std::optional<double> output;
  CacheRules rules;
  std::string note;  // what the figures leave out
};

// Tokens of prompts by what is billed for them.
struct PromptTokens {
  size_t total = 0;
  size_t read = 0;
  std::vector<size_t> written = {};  // by the rules' lifetimes; empty: none

  size_t all_written() const;
  size_t plain() const { return total - read - all_written(); }  // at the input price
  PromptTokens& operator+=(const PromptTokens& more);
  bool operator==(const PromptTokens&) const = default;
};

// In the sheet's currency; prompts only.
double CostOf(const PromptTokens& tokens, const PriceSheet& sheet);
// Of tokens of replies; nullopt without a price.
std::optional<double> ReplyCost(size_t tokens, const PriceSheet& sheet);

const std::vector<PriceSheet>& PublishedSheets();
// nullptr: there is none of that name.
const PriceSheet* FindSheet(std::string_view name);

}  // namespace reprise

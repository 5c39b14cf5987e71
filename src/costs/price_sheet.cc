#include "costs/price_sheet.h"

#include <algorithm>
#include <numeric>

namespace reprise {
namespace {

constexpr double kPricedTokens = 1e6;

}  // namespace

bool SameCaching(const CacheRules& a, const CacheRules& b) {
  return a.minimum == b.minimum && a.automatic == b.automatic && a.step == b.step &&
         a.lifetime_seconds == b.lifetime_seconds && a.marks == b.marks &&
         a.lookback == b.lookback && a.renews == b.renews &&
         std::ranges::equal(a.lifetimes, b.lifetimes, {}, &MarkLifetime::seconds,
                            &MarkLifetime::seconds);
}

size_t PromptTokens::all_written() const {
  return std::accumulate(written.begin(), written.end(), size_t{0});
}

PromptTokens& PromptTokens::operator+=(const PromptTokens& more) {
  total += more.total;
  read += more.read;
  written.resize(std::max(written.size(), more.written.size()));
  for (size_t i = 0; i < more.written.size(); ++i) written[i] += more.written[i];
  return *this;
}

double CostOf(const PromptTokens& tokens, const PriceSheet& sheet) {
  double cost = static_cast<double>(tokens.plain()) * sheet.input +
                static_cast<double>(tokens.read) * sheet.read;
  for (size_t i = 0; i < tokens.written.size(); ++i) {
    if (tokens.written[i] > 0) {
      cost += static_cast<double>(tokens.written[i]) * sheet.rules.lifetimes.at(i).write;
    }
  }
  return cost / kPricedTokens;
}

std::optional<double> ReplyCost(size_t tokens, const PriceSheet& sheet) {
  if (!sheet.output) return std::nullopt;
  return static_cast<double>(tokens) * *sheet.output / kPricedTokens;
}

const PriceSheet* FindSheet(std::string_view name) {
  const auto found = std::ranges::find(PublishedSheets(), name, &PriceSheet::name);
  return found == PublishedSheets().end() ? nullptr : &*found;
}

}  // namespace reprise

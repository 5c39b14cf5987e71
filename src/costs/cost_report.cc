#include "costs/cost_report.h"

#include <algorithm>
#include <utility>

namespace reprise {
namespace {

void AddPlacings(std::vector<Placing> more, std::vector<Placing>& into) {
  for (Placing& placing : more) {
    const auto same = std::ranges::find(into, placing.marks, &Placing::marks);
    if (same == into.end()) {
      into.push_back(std::move(placing));
    } else {
      same->requests += placing.requests;
      same->tokens += placing.tokens;
    }
  }
  std::ranges::stable_sort(into, std::greater{},
                           [](const Placing& placing) { return placing.tokens.total; });
}

// Of sheets whose caches do the same: played once.
void Reckon(const Traffic& traffic, const std::vector<SheetCosts*>& costs) {
  const CacheRules& rules = costs[0]->sheet->rules;
  const PromptTokens automatic = PlayAutomatic(traffic, rules);
  for (SheetCosts* each : costs) each->automatic += automatic;
  if (rules.marks == 0) return;
  const PromptTokens marked = PlayMarks(
      traffic, rules, [&](const TrafficPrompt& prompt) { return SentMarks(prompt, rules); });
  std::vector<const PriceSheet*> sheets;
  sheets.reserve(costs.size());
  for (const SheetCosts* each : costs) sheets.push_back(each->sheet);
  std::vector<std::vector<Placing>> placings = CheapestPlacings(traffic, sheets);
  for (size_t i = 0; i < costs.size(); ++i) {
    if (!costs[i]->marked) costs[i]->marked.emplace();
    *costs[i]->marked += marked;
    AddPlacings(std::move(placings[i]), costs[i]->placings);
  }
}

}  // namespace

PromptTokens SheetCosts::best() const {
  PromptTokens all;
  for (const Placing& placing : placings) all += placing.tokens;
  return all;
}

std::vector<SheetCosts> ReckonCosts(std::span<const Traffic> tenants,
                                    std::span<const PriceSheet> sheets) {
  std::vector<SheetCosts> costs(sheets.size());
  std::vector<std::vector<SheetCosts*>> groups;
  for (size_t i = 0; i < sheets.size(); ++i) {
    costs[i].sheet = &sheets[i];
    const auto group = std::ranges::find_if(groups, [&](const std::vector<SheetCosts*>& of) {
      return SameCaching(of[0]->sheet->rules, sheets[i].rules);
    });
    if (group == groups.end()) {
      groups.push_back({&costs[i]});
    } else {
      group->push_back(&costs[i]);
    }
  }
  for (const Traffic& traffic : tenants) {
    for (const std::vector<SheetCosts*>& group : groups) Reckon(traffic, group);
  }
  return costs;
}

}  // namespace reprise

#include "api/costs_json.h"

#include <optional>
#include <utility>

namespace reprise {
namespace json = boost::json;
namespace {

const char* AutomaticName(AutomaticCaching automatic) {
  switch (automatic) {
    case AutomaticCaching::kPrefix:
      return "prefix";
    case AutomaticCaching::kMark:
      return "mark";
    case AutomaticCaching::kAskedMark:
      break;
  }
  return "asked mark";
}

json::object RulesJson(const CacheRules& rules) {
  json::object shown = {{"minimum", rules.minimum}, {"automatic", AutomaticName(rules.automatic)}};
  if (rules.automatic == AutomaticCaching::kPrefix) {
    shown["step"] = rules.step;
    shown["lifetime_seconds"] = rules.lifetime_seconds;
  }
  shown["marks"] = rules.marks;
  if (rules.marks == 0) return shown;
  shown["lookback"] = rules.lookback > 0 ? json::value(rules.lookback) : json::value();
  shown["renews"] = rules.renews;
  json::array lifetimes;
  for (const MarkLifetime& lifetime : rules.lifetimes) {
    lifetimes.push_back({{"name", lifetime.name}, {"seconds", lifetime.seconds}});
  }
  shown["lifetimes"] = std::move(lifetimes);
  return shown;
}

json::object BillJson(const PromptTokens& tokens, const PriceSheet& sheet) {
  return {{"read", tokens.read},
          {"written", tokens.all_written()},
          {"computed", tokens.plain()},
          {"cost", CostOf(tokens, sheet)}};
}

json::array MarksJson(const Placing& placing, const PriceSheet& sheet) {
  json::array marks;
  for (const SpotMark& mark : placing.marks) {
    marks.push_back(
        {{"part", mark.spot}, {"lifetime", sheet.rules.lifetimes.at(mark.lifetime).name}});
  }
  return marks;
}

json::object BestJson(const SheetCosts& costs) {
  json::object best = BillJson(costs.best(), *costs.sheet);
  best["marks"] = json::array();
  json::array placings;
  for (const Placing& placing : costs.placings) {
    json::object shown = BillJson(placing.tokens, *costs.sheet);
    shown["marks"] = MarksJson(placing, *costs.sheet);
    shown["requests"] = placing.requests;
    shown["prompt"] = placing.tokens.total;
    if (placings.empty()) best["marks"] = shown["marks"];
    placings.push_back(std::move(shown));
  }
  best["placings"] = std::move(placings);
  return best;
}

}  // namespace

json::object PriceSheetJson(const PriceSheet& sheet) {
  json::object write;
  for (const MarkLifetime& lifetime : sheet.rules.lifetimes) {
    write[lifetime.name] = lifetime.write;
  }
  json::object prices = {{"input", sheet.input}, {"read", sheet.read}, {"write", std::move(write)}};
  prices["output"] = sheet.output ? json::value(*sheet.output) : json::value();
  return {{"name", sheet.name},          {"vendor", sheet.vendor},
          {"date", sheet.date},          {"currency", sheet.is_rule ? "input prices" : "USD"},
          {"prices", std::move(prices)}, {"rules", RulesJson(sheet.rules)},
          {"note", sheet.note}};
}

json::object SheetCostsJson(const SheetCosts& costs, const PromptTokens& here, size_t generated) {
  const PriceSheet& sheet = *costs.sheet;
  json::object shown = PriceSheetJson(sheet);
  for (auto& [field, value] : BillJson(costs.automatic, sheet)) shown[field] = value;
  shown["without_cache"] = CostOf({.total = here.total}, sheet);
  shown["marked"] = costs.marked ? json::value(BillJson(*costs.marked, sheet)) : json::value();
  shown["best"] = costs.marked ? json::value(BestJson(costs)) : json::value();
  shown["here"] = BillJson(here, sheet);
  const std::optional<double> replies = ReplyCost(generated, sheet);
  shown["replies"] = replies ? json::value(*replies) : json::value();
  return shown;
}

json::object MoneyJson(const WorkCounts& work, const PriceSheet& sheet) {
  const PromptTokens tokens{.total = work.prompt, .read = work.read};
  const double prompts = CostOf(tokens, sheet);
  const double replies = ReplyCost(work.generated, sheet).value_or(0);
  return {{"prices", sheet.name},
          {"saved", CostOf({.total = work.prompt}, sheet) - prompts},
          {"spent", prompts + replies}};
}

}  // namespace reprise

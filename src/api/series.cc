#include "api/series.h"

#include <optional>

namespace reprise {
namespace json = boost::json;
namespace {

json::value MedianJson(const MedianCount& count) {
  const std::optional<double> median = count.Median();
  return median ? json::value(*median) : json::value(nullptr);
}

}  // namespace

SeriesColumns ColumnsFor(bool admin, const EngineStats& stats) {
  SeriesColumns columns{.admin = admin};
  for (const auto& tier : stats.tiers) {
    (tier.kind == TierKind::kDisk ? columns.disk : columns.shared) = true;
  }
  return columns;
}

void ForEachColumn(const LedgerStep& step, const SeriesColumns& columns,
                   const std::function<void(std::string_view, json::value)>& visit) {
  const auto& [work, cached, cold] = step.figures;
  const LedgerGauges& gauges = step.gauges;
  visit("time", step.time);
  visit("prompt", work.prompt);
  visit("read", work.read);
  visit("computed", work.computed);
  visit("generated", work.generated);
  visit("requests", work.requests);
  visit("first_token_cold_ms", MedianJson(cold));
  visit("first_token_cached_ms", MedianJson(cached));
  visit("blocks_automatic", gauges.blocks_automatic);
  visit("blocks_promised", gauges.blocks_promised);
  if (!columns.admin) return;
  visit("running", gauges.running);
  visit("waiting", gauges.waiting);
  visit("blocks_free", gauges.blocks_free);
  visit("blocks_leased", gauges.blocks_leased);
  if (columns.disk) visit("disk_bytes", gauges.disk_bytes);
  if (columns.shared) visit("shared_stores", gauges.shared_stores);
}

LedgerGauges GaugesOf(const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  LedgerGauges gauges;
  gauges.running = stats.running;
  gauges.waiting = stats.waiting;
  gauges.blocks_free = sizes.free_blocks;
  gauges.blocks_automatic = sizes.cached_blocks - sizes.held_blocks;
  gauges.blocks_promised = sizes.held_blocks - sizes.leased_blocks;
  gauges.blocks_leased = sizes.leased_blocks + sizes.private_blocks;
  for (const auto& tier : stats.tiers) {
    if (tier.kind == TierKind::kDisk) {
      gauges.disk_bytes += tier.sizes.held_bytes;
    } else {
      gauges.shared_stores += tier.sizes.stores - tier.sizes.stores_away;
    }
  }
  return gauges;
}

LedgerGauges GaugesOf(const TenantSizes& sizes) {
  LedgerGauges gauges;
  gauges.blocks_automatic = sizes.cached_blocks - sizes.pinned_blocks;
  gauges.blocks_promised = sizes.pinned_blocks;
  return gauges;
}

}  // namespace reprise

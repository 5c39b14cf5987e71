#include "api/metrics_engine.h"

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

#include "api/series.h"

namespace reprise {
namespace {

void WriteRequests(MetricsText& text, const EngineStats& stats) {
  text.Gauge("reprise_requests_running", "Sequences in the batch.", stats.running);
  text.Gauge("reprise_requests_waiting", "Sequences that wait to be admitted.", stats.waiting);
  text.Counter("reprise_requests_admitted_total",
               "Sequences admitted, one a choice, and fills in the background.", stats.requests);
  text.Counter("reprise_requests_with_hit_total",
               "Of those, that read at least half of their prompt from the cache.", stats.hits);
  text.Counter("reprise_requests_cancelled_total", "Sequences cancelled.", stats.cancelled);
  text.Counter("reprise_requests_failed_total", "Sequences failed.", stats.failed);
  text.Counter("reprise_requests_preempted_total",
               "Sequences that gave their memory back and began again.", stats.preempted);
  text.Counter("reprise_prompt_tokens_total", "Prompt tokens of admitted sequences.",
               stats.prompt_tokens);
  text.Counter("reprise_read_tokens_total", "Of those, read from the cache.", stats.cached_tokens);
  text.Counter("reprise_read_below_tokens_total",
               "Of those read, that came from a store below memory.", stats.stored_tokens);
  text.Counter("reprise_computed_tokens_total", "Prompt tokens computed.", stats.computed_tokens);
  text.Counter("reprise_generated_tokens_total", "Tokens generated.", stats.generated_tokens);
  text.Counter("reprise_steps_total", "Forward passes.", stats.steps);
  text.Counter("reprise_prefill_seconds_total", "Time spent on prefill.", stats.prefill_seconds);
  text.Counter("reprise_decode_seconds_total", "Time spent on decode.", stats.decode_seconds);
}

void WriteGuesses(MetricsText& text, std::string_view name, std::string_view help,
                  const PerGuessSource<uint64_t>& counts) {
  text.Begin(MetricsText::Kind::kCounter, name, help);
  for (size_t i = 0; i < kGuessSources; ++i) {
    text.Sample({{"source", std::string(kGuessSourceNames[i])}}, counts[i]);
  }
}

void WriteMemory(MetricsText& text, const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  const LedgerGauges gauges = GaugesOf(stats);
  text.Begin(MetricsText::Kind::kGauge, "reprise_cache_blocks",
             "Blocks of memory by what holds them: nothing; the cache, until room is needed; a "
             "promise; a running request.");
  text.Sample({{"state", "free"}}, gauges.blocks_free);
  text.Sample({{"state", "automatic"}}, gauges.blocks_automatic);
  text.Sample({{"state", "promised"}}, gauges.blocks_promised);
  text.Sample({{"state", "leased"}}, gauges.blocks_leased);
  const double held = static_cast<double>(gauges.blocks_promised + gauges.blocks_leased);
  const auto all = static_cast<double>(sizes.total_blocks);
  text.Gauge("reprise_cache_held_ratio",
             "The share of all blocks, from 0 to 1, that promises and running requests hold: what "
             "no other request can have now.",
             all > 0 ? held / all : 0);
  text.Gauge("reprise_cache_capacity_blocks", "Blocks of memory in all.", sizes.total_blocks);
  text.Gauge("reprise_cache_block_tokens", "Tokens in one block.", stats.block_tokens);
  text.Gauge("reprise_cache_block_bytes", "Bytes of one block.", stats.block_bytes);
  text.Gauge("reprise_cache_tokens", "Tokens whose K and V are cached.", sizes.cached_tokens);
  text.Gauge("reprise_cache_tenants", "Tenants that have something cached.", sizes.tenants);
  text.Gauge("reprise_cache_pinned_blocks", "Blocks that promises hold, leased ones included.",
             sizes.pinned_blocks);
  text.Gauge("reprise_cache_reserved_blocks",
             "Blocks that promises of running requests will hold besides.", sizes.reserved_blocks);
  text.Gauge("reprise_cache_pin_capacity_blocks", "Blocks that promises may hold.",
             sizes.pin_capacity_blocks);
  text.Begin(MetricsText::Kind::kGauge, "reprise_cache_promises",
             "Unexpired promises by the lifetime they were made for.");
  text.Sample({{"ttl", "to_5m"}}, sizes.promises_to_5m);
  text.Sample({{"ttl", "to_1h"}}, sizes.promises_to_1h);
  text.Sample({{"ttl", "beyond_1h"}}, sizes.promises_beyond_1h);
  const PrefixCache::Counters& counters = stats.cache_counters;
  text.Counter("reprise_cache_published_blocks_total", "Blocks made findable.",
               counters.published_blocks);
  text.Counter("reprise_cache_deduplicated_blocks_total",
               "Blocks that were found cached when published.", counters.deduplicated_blocks);
  text.Counter("reprise_cache_evicted_blocks_total", "Blocks evicted for room.",
               counters.evicted_blocks);
  text.Counter("reprise_cache_expired_blocks_total", "Blocks dropped after their retention.",
               counters.expired_blocks);
  text.Counter("reprise_cache_promises_made_total", "Promises made.", counters.promises);
  text.Counter("reprise_cache_promises_refused_total", "Marks for which pinned memory had no room.",
               counters.refused_promises);
  text.Counter("reprise_cache_promises_expired_total", "Promises whose time was up.",
               counters.expired_promises);
}

// Of models with recurrent layers only.
void WriteStates(MetricsText& text, const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  text.Gauge("reprise_state_bytes", "Bytes of one recurrent state.", stats.state_bytes);
  text.Gauge("reprise_states", "Recurrent states that there is room for.", sizes.total_states);
  text.Gauge("reprise_states_working", "Of those, in the hands of requests.", sizes.working_states);
  text.Gauge("reprise_cache_snapshots", "Of those, kept behind cached prefixes.", sizes.snapshots);
  text.Gauge("reprise_cache_pinned_snapshots", "Kept ones that promises hold.",
             sizes.pinned_snapshots);
  text.Gauge("reprise_cache_pin_capacity_snapshots", "Snapshots that promises may hold.",
             sizes.pin_capacity_snapshots);
  text.Counter("reprise_cache_kept_snapshots_total", "Snapshots made.",
               stats.cache_counters.kept_snapshots);
  text.Counter("reprise_cache_evicted_snapshots_total",
               "Snapshots evicted for another state; their blocks stayed.",
               stats.cache_counters.evicted_snapshots);
}

using TierFigures = BlockTier::Counters;

// Sizes that only a tier of one kind knows.
void WriteTierSizes(MetricsText& text, const TierFigures& tier) {
  if (tier.kind == TierKind::kDisk) {
    text.Gauge("reprise_disk_capacity_bytes", "What the cache on disk may hold.",
               tier.sizes.capacity_bytes);
    text.Gauge("reprise_disk_held_bytes", "What it holds.", tier.sizes.held_bytes);
    text.Gauge("reprise_disk_promised_bytes", "Of that, what promises hold.",
               tier.sizes.promised_bytes);
    text.Gauge("reprise_disk_blocks", "Blocks that it holds.", tier.sizes.records);
    text.Counter("reprise_disk_evicted_blocks_total", "Blocks erased for room.", tier.evicted);
    text.Counter("reprise_disk_expired_blocks_total", "Blocks erased after their retention.",
                 tier.expired);
  } else {
    text.Gauge("reprise_shared_stores", "Stores over which blocks are spread.", tier.sizes.stores);
    text.Gauge("reprise_shared_stores_away", "Of those, that do not answer and are left alone.",
               tier.sizes.stores_away);
  }
}

void WriteTiers(MetricsText& text, const std::vector<TierFigures>& tiers) {
  using Kind = MetricsText::Kind;
  const auto family = [&](Kind kind, std::string_view name, std::string_view help, auto member) {
    text.Begin(kind, name, help);
    for (const TierFigures& tier : tiers) {
      text.Sample({{"tier", std::string(ToText(tier.kind))}}, std::invoke(member, tier));
    }
  };
  family(Kind::kCounter, "reprise_tier_read_blocks_total", "Blocks read from a store below memory.",
         &TierFigures::read);
  family(Kind::kCounter, "reprise_tier_written_blocks_total", "Blocks written.",
         &TierFigures::written);
  family(Kind::kGauge, "reprise_tier_read_bytes_per_second", "How fast it was read lately.",
         &TierFigures::bytes_per_second);
  family(Kind::kCounter, "reprise_tier_saved_seconds_total",
         "What computing what was read would have taken longer.", &TierFigures::seconds_saved);
  family(Kind::kGauge, "reprise_tier_queue_bytes", "What waits to be written.",
         &TierFigures::queue_bytes);
  family(Kind::kCounter, "reprise_tier_dropped_blocks_total",
         "Blocks not written because the queue was full.", &TierFigures::queue_dropped);
  family(Kind::kCounter, "reprise_tier_refused_blocks_total",
         "Blocks not written for want of room, or to a store that is left alone.",
         &TierFigures::refused);
  family(Kind::kCounter, "reprise_tier_slow_reads_total",
         "Prefixes not read, or not to their end, because computing is faster.",
         &TierFigures::slow);
  text.Begin(Kind::kCounter, "reprise_tier_failures_total", "Faults of a store by kind.");
  for (const TierFigures& tier : tiers) {
    const std::string name(ToText(tier.kind));
    text.Sample({{"tier", name}, {"kind", "read"}}, tier.read_failures);
    text.Sample({{"tier", name}, {"kind", "write"}}, tier.write_failures);
    text.Sample({{"tier", name}, {"kind", "checksum"}}, tier.corrupt);
  }
}

}  // namespace

void WriteEngine(MetricsText& text, const EngineStats& stats) {
  WriteRequests(text, stats);
  WriteGuesses(text, "reprise_accepted_guesses_total",
               "Guessed tokens that became a reply's, by where the guess came from.",
               stats.accepted_guesses);
  WriteGuesses(text, "reprise_rejected_guesses_total",
               "Guessed tokens that were computed in vain, by where the guess came from.",
               stats.rejected_guesses);
  WriteMemory(text, stats);
  if (stats.state_bytes > 0) WriteStates(text, stats);
  for (const TierFigures& tier : stats.tiers) WriteTierSizes(text, tier);
  if (!stats.tiers.empty()) WriteTiers(text, stats.tiers);
}

}  // namespace reprise

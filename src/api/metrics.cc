#include "api/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace reprise {
namespace {

enum class Kind : uint8_t { kCounter, kGauge };

template <typename Number>
void Add(std::string& page, Kind kind, std::string_view name, std::string_view help, Number value) {
  page += fmt::format("# HELP reprise_{0} {1}\n# TYPE reprise_{0} {2}\nreprise_{0} {3}\n", name,
                      help, kind == Kind::kCounter ? "counter" : "gauge", value);
}

void AddCache(std::string& page, const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  page +=
      "# HELP reprise_cache_blocks Blocks of the arena by what holds them.\n"
      "# TYPE reprise_cache_blocks gauge\n";
  page += fmt::format("reprise_cache_blocks{{state=\"free\"}} {}\n", sizes.free_blocks);
  page += fmt::format("reprise_cache_blocks{{state=\"cached\"}} {}\n", sizes.cached_blocks);
  page += fmt::format("reprise_cache_blocks{{state=\"private\"}} {}\n", sizes.private_blocks);
  Add(page, Kind::kGauge, "cache_leased_blocks", "Cached blocks that a request holds.",
      sizes.leased_blocks);
  Add(page, Kind::kGauge, "cache_tokens", "Tokens whose K and V are cached.", sizes.cached_tokens);
  Add(page, Kind::kGauge, "cache_pinned_blocks", "Cached blocks that promises hold.",
      sizes.pinned_blocks);
  Add(page, Kind::kGauge, "cache_reserved_blocks",
      "Blocks that promises of running requests will hold besides.", sizes.reserved_blocks);
  Add(page, Kind::kGauge, "cache_pin_capacity_blocks", "Blocks that promises may hold.",
      sizes.pin_capacity_blocks);
  page +=
      "# HELP reprise_cache_promises Unexpired promises by lifetime.\n"
      "# TYPE reprise_cache_promises gauge\n";
  page += fmt::format("reprise_cache_promises{{ttl=\"to_5m\"}} {}\n", sizes.promises_to_5m);
  page += fmt::format("reprise_cache_promises{{ttl=\"to_1h\"}} {}\n", sizes.promises_to_1h);
  page += fmt::format("reprise_cache_promises{{ttl=\"beyond_1h\"}} {}\n", sizes.promises_beyond_1h);
  Add(page, Kind::kGauge, "cache_tenants", "Tenants that have something cached.", sizes.tenants);
  Add(page, Kind::kGauge, "cache_block_bytes", "Bytes of one block.", stats.block_bytes);
  const PrefixCache::Counters& counters = stats.cache_counters;
  Add(page, Kind::kCounter, "cache_evicted_blocks_total", "Blocks evicted for room.",
      counters.evicted_blocks);
  Add(page, Kind::kCounter, "cache_expired_blocks_total", "Blocks dropped after their retention.",
      counters.expired_blocks);
  Add(page, Kind::kCounter, "cache_published_blocks_total", "Blocks made findable.",
      counters.published_blocks);
  Add(page, Kind::kCounter, "cache_deduplicated_blocks_total",
      "Blocks that were found cached when published.", counters.deduplicated_blocks);
  Add(page, Kind::kCounter, "cache_promises_total", "Promises made.", counters.promises);
  Add(page, Kind::kCounter, "cache_refused_promises_total",
      "Marks for which pinned memory had no room.", counters.refused_promises);
  Add(page, Kind::kCounter, "cache_expired_promises_total", "Promises whose time was up.",
      counters.expired_promises);
}

// Of models with recurrent layers only.
void AddStates(std::string& page, const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  Add(page, Kind::kGauge, "state_bytes", "Bytes of one recurrent state.", stats.state_bytes);
  Add(page, Kind::kGauge, "states", "Recurrent states that there is room for.", sizes.total_states);
  Add(page, Kind::kGauge, "states_working", "Of those, in the hands of requests.",
      sizes.working_states);
  Add(page, Kind::kGauge, "cache_snapshots", "Of those, kept behind cached prefixes.",
      sizes.snapshots);
  Add(page, Kind::kGauge, "cache_pinned_snapshots", "Kept ones that promises hold.",
      sizes.pinned_snapshots);
  Add(page, Kind::kGauge, "cache_pin_capacity_snapshots", "Snapshots that promises may hold.",
      sizes.pin_capacity_snapshots);
  Add(page, Kind::kCounter, "cache_kept_snapshots_total", "Snapshots made.",
      stats.cache_counters.kept_snapshots);
  Add(page, Kind::kCounter, "cache_evicted_snapshots_total",
      "Snapshots evicted for another state; their blocks stayed.",
      stats.cache_counters.evicted_snapshots);
}

void AddTier(std::string& page, const BlockTier::Counters& tier) {
  const std::string_view kind = ToText(tier.kind);
  const auto add = [&](Kind type, std::string_view name, std::string_view help, auto value) {
    Add(page, type, fmt::format("{}_{}", kind, name), help, value);
  };
  if (tier.kind == TierKind::kDisk) {
    add(Kind::kGauge, "capacity_bytes", "What the cache on disk may hold.",
        tier.sizes.capacity_bytes);
    add(Kind::kGauge, "held_bytes", "What it holds.", tier.sizes.held_bytes);
    add(Kind::kGauge, "promised_bytes", "Of that, what promises hold.", tier.sizes.promised_bytes);
    add(Kind::kGauge, "blocks", "Blocks that it holds.", tier.sizes.records);
    add(Kind::kCounter, "evicted_blocks_total", "Blocks erased for room.", tier.evicted);
    add(Kind::kCounter, "expired_blocks_total", "Blocks erased after their retention.",
        tier.expired);
  } else {
    add(Kind::kGauge, "stores", "Stores over which blocks are spread.", tier.sizes.stores);
    add(Kind::kGauge, "stores_away", "Of those, that do not answer and are left alone.",
        tier.sizes.stores_away);
  }
  add(Kind::kGauge, "read_bytes_per_second", "How fast it was read lately.", tier.bytes_per_second);
  add(Kind::kCounter, "saved_seconds_total",
      "What computing what was read would have taken longer.", tier.seconds_saved);
  add(Kind::kCounter, "read_blocks_total", "Blocks read.", tier.read);
  add(Kind::kCounter, "written_blocks_total", "Blocks written.", tier.written);
  add(Kind::kGauge, "queue_bytes", "What waits to be written.", tier.queue_bytes);
  add(Kind::kCounter, "queue_dropped_blocks_total",
      "Blocks not written because the queue was full.", tier.queue_dropped);
  add(Kind::kCounter, "refused_blocks_total",
      "Blocks not written for want of room, or to a store that is left alone.", tier.refused);
  add(Kind::kCounter, "slow_reads_total",
      "Prefixes not read, or not to their end, because computing is faster.", tier.slow);
  page += fmt::format(
      "# HELP reprise_{0}_failures_total Faults of this tier by kind.\n"
      "# TYPE reprise_{0}_failures_total counter\n",
      kind);
  for (const auto& [fault, count] : {std::pair{"read", tier.read_failures},
                                     {"write", tier.write_failures},
                                     {"checksum", tier.corrupt}}) {
    page += fmt::format("reprise_{}_failures_total{{kind=\"{}\"}} {}\n", kind, fault, count);
  }
}

void AddGuesses(std::string& page, std::string_view name, std::string_view help,
                const PerGuessSource<uint64_t>& counts) {
  page += fmt::format("# HELP reprise_{0} {1}\n# TYPE reprise_{0} counter\n", name, help);
  for (size_t i = 0; i < kGuessSources; ++i) {
    page += fmt::format("reprise_{}{{source=\"{}\"}} {}\n", name, kGuessSourceNames[i], counts[i]);
  }
}

void AddEngine(std::string& page, const EngineStats& stats) {
  Add(page, Kind::kGauge, "requests_running", "Sequences in the batch.", stats.running);
  Add(page, Kind::kGauge, "requests_waiting", "Sequences that wait to be admitted.", stats.waiting);
  Add(page, Kind::kCounter, "requests_admitted_total", "Sequences admitted.", stats.requests);
  Add(page, Kind::kCounter, "requests_hit_total", "Sequences that read from the cache.",
      stats.hits);
  Add(page, Kind::kCounter, "requests_cancelled_total", "Sequences cancelled.", stats.cancelled);
  Add(page, Kind::kCounter, "requests_failed_total", "Sequences failed.", stats.failed);
  Add(page, Kind::kCounter, "requests_preempted_total", "Sequences preempted.", stats.preempted);
  Add(page, Kind::kCounter, "prompt_tokens_total", "Prompt tokens of admitted sequences.",
      stats.prompt_tokens);
  Add(page, Kind::kCounter, "cached_tokens_total", "Prompt tokens read from the cache.",
      stats.cached_tokens);
  Add(page, Kind::kCounter, "stored_tokens_total", "Of those, read from below memory.",
      stats.stored_tokens);
  Add(page, Kind::kCounter, "computed_tokens_total", "Prompt tokens computed.",
      stats.computed_tokens);
  Add(page, Kind::kCounter, "generated_tokens_total", "Tokens generated.", stats.generated_tokens);
  AddGuesses(page, "accepted_guesses_total",
             "Guessed tokens that became a reply's, by where the guess came from.",
             stats.accepted_guesses);
  AddGuesses(page, "rejected_guesses_total", "Guessed tokens that were computed in vain.",
             stats.rejected_guesses);
  Add(page, Kind::kCounter, "steps_total", "Forward passes.", stats.steps);
  Add(page, Kind::kCounter, "prefill_seconds_total", "Time spent on prefill.",
      stats.prefill_seconds);
  Add(page, Kind::kCounter, "decode_seconds_total", "Time spent on decode.", stats.decode_seconds);
}

}  // namespace

void Metrics::CountRequest(std::string_view route, int status) {
  ++requests_[{std::string(route), status}];
  unauthorized_ += status == 401;
}

void Metrics::ObserveTimeToFirstToken(double seconds) {
  const auto bound = std::ranges::lower_bound(kBounds, seconds);
  ++ttft_[static_cast<size_t>(bound - kBounds.begin())];
  ttft_sum_s_ += seconds;
}

std::string Metrics::Render(const EngineStats& engine, const HttpListener& listener) const {
  std::string page;
  AddEngine(page, engine);
  AddCache(page, engine);
  if (engine.state_bytes > 0) AddStates(page, engine);
  for (const BlockTier::Counters& tier : engine.tiers) AddTier(page, tier);
  Add(page, Kind::kGauge, "http_connections", "Open connections.", listener.open_connections());
  Add(page, Kind::kCounter, "http_connections_total", "Connections accepted.",
      listener.accepted_connections());

  Add(page, Kind::kCounter, "http_unauthorized_total",
      "Requests without a valid key (also counted by route below).", unauthorized_);

  page +=
      "# HELP reprise_http_requests_total Requests by route and status.\n"
      "# TYPE reprise_http_requests_total counter\n";
  for (const auto& [key, count] : requests_) {
    page += fmt::format("reprise_http_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first,
                        key.second, count);
  }

  page +=
      "# HELP reprise_time_to_first_token_seconds From the request's header to its first text.\n"
      "# TYPE reprise_time_to_first_token_seconds histogram\n";
  uint64_t below = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    below += ttft_[i];
    page += fmt::format("reprise_time_to_first_token_seconds_bucket{{le=\"{}\"}} {}\n", kBounds[i],
                        below);
  }
  below += ttft_.back();
  page += fmt::format(
      "reprise_time_to_first_token_seconds_bucket{{le=\"+Inf\"}} {0}\n"
      "reprise_time_to_first_token_seconds_sum {1}\n"
      "reprise_time_to_first_token_seconds_count {0}\n",
      below, ttft_sum_s_);
  return page;
}

}  // namespace reprise

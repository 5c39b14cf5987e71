#include "api/cache_page.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/ask_engine.h"

namespace reprise {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

json::object Lifetimes(size_t cached_blocks, size_t pinned_blocks,
                       const std::array<size_t, 3>& promises) {
  return {{"automatic_blocks", cached_blocks - pinned_blocks},
          {"promises_to_5m", promises[0]},
          {"promises_to_1h", promises[1]},
          {"promises_beyond_1h", promises[2]}};
}

// Of one tenant alone. `pin_capacity` in blocks.
json::object TenantJson(const TenantStats& stats, size_t pin_capacity, size_t block_bytes) {
  const TenantSizes& sizes = stats.cache;
  return {
      {"tenant", sizes.tenant},
      {"blocks",
       {{"cached", sizes.cached_blocks},
        {"pinned", sizes.pinned_blocks},
        {"reserved", sizes.reserved_blocks},
        {"pin_capacity", pin_capacity}}},
      {"bytes",
       {{"cached", sizes.cached_blocks * block_bytes},
        {"pinned", sizes.pinned_blocks * block_bytes},
        {"pin_capacity", pin_capacity * block_bytes}}},
      {"cached_tokens", sizes.cached_tokens},
      {"lifetimes", Lifetimes(sizes.cached_blocks, sizes.pinned_blocks, sizes.promises_by_class)},
      {"hits", {{"requests", stats.requests}, {"with_a_hit", stats.hits}}},
      {"tokens", {{"prompt", stats.prompt_tokens}, {"read", stats.cached_tokens}}}};
}

json::object TierJson(const BlockTier::Counters& tier) {
  const StoreSizes& sizes = tier.sizes;
  json::object page;
  if (tier.kind == TierKind::kDisk) {
    page = {{"bytes",
             {{"capacity", sizes.capacity_bytes},
              {"held", sizes.held_bytes},
              {"promised", sizes.promised_bytes}}},
            {"blocks", sizes.records}};
  } else {
    page = {{"stores", {{"all", sizes.stores}, {"away", sizes.stores_away}}}};
  }
  page["read_bytes_per_second"] = tier.bytes_per_second;
  page["seconds_saved"] = tier.seconds_saved;
  page["counters"] = {{"read_blocks", tier.read},
                      {"written_blocks", tier.written},
                      {"evicted_blocks", tier.evicted},
                      {"expired_blocks", tier.expired},
                      {"queue_dropped_blocks", tier.queue_dropped},
                      {"refused_blocks", tier.refused},
                      {"slow_reads", tier.slow},
                      {"read_failures", tier.read_failures},
                      {"write_failures", tier.write_failures},
                      {"corrupt_blocks", tier.corrupt}};
  return page;
}

json::object GuessesJson(const PerGuessSource<uint64_t>& counts) {
  json::object by_source;
  for (size_t i = 0; i < kGuessSources; ++i) by_source[kGuessSourceNames[i]] = counts[i];
  return by_source;
}

json::object TotalJson(const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  const PrefixCache::Counters& counters = stats.cache_counters;
  return {{"block_tokens", stats.block_tokens},
          {"block_bytes", stats.block_bytes},
          {"blocks",
           {{"total", sizes.total_blocks},
            {"free", sizes.free_blocks},
            {"cached", sizes.cached_blocks},
            {"private", sizes.private_blocks},
            {"leased", sizes.leased_blocks},
            {"pinned", sizes.pinned_blocks},
            {"reserved", sizes.reserved_blocks},
            {"pin_capacity", sizes.pin_capacity_blocks}}},
          {"bytes",
           {{"total", sizes.total_blocks * stats.block_bytes},
            {"cached", sizes.cached_blocks * stats.block_bytes},
            {"pinned", sizes.pinned_blocks * stats.block_bytes},
            {"pin_capacity", sizes.pin_capacity_blocks * stats.block_bytes}}},
          {"cached_tokens", sizes.cached_tokens},
          {"lifetimes",
           Lifetimes(sizes.cached_blocks, sizes.pinned_blocks,
                     {sizes.promises_to_5m, sizes.promises_to_1h, sizes.promises_beyond_1h})},
          {"hits", {{"requests", stats.requests}, {"with_a_hit", stats.hits}}},
          {"tokens",
           {{"prompt", stats.prompt_tokens},
            {"read", stats.cached_tokens},
            {"computed", stats.computed_tokens}}},
          {"guesses",
           {{"accepted", GuessesJson(stats.accepted_guesses)},
            {"rejected", GuessesJson(stats.rejected_guesses)}}},
          {"counters",
           {{"published_blocks", counters.published_blocks},
            {"deduplicated_blocks", counters.deduplicated_blocks},
            {"evicted_blocks", counters.evicted_blocks},
            {"expired_blocks", counters.expired_blocks},
            {"promises", counters.promises},
            {"refused_promises", counters.refused_promises},
            {"expired_promises", counters.expired_promises}}},
          {"requests", {{"running", stats.running}, {"waiting", stats.waiting}}}};
}

// Of models with recurrent layers only.
json::object StatesJson(const EngineStats& stats) {
  const PrefixCache::Sizes& sizes = stats.cache;
  const PrefixCache::Counters& counters = stats.cache_counters;
  return {
      {"state_bytes", stats.state_bytes},
      {"total", sizes.total_states},
      {"working", sizes.working_states},
      {"most_working", sizes.most_working_states},
      {"snapshots", sizes.snapshots},
      {"pinned", sizes.pinned_snapshots},
      {"reserved", sizes.reserved_snapshots},
      {"pin_capacity", sizes.pin_capacity_snapshots},
      {"bytes",
       {{"total", sizes.total_states * stats.state_bytes},
        {"working", sizes.working_states * stats.state_bytes},
        {"snapshots", sizes.snapshots * stats.state_bytes},
        {"pinned", sizes.pinned_snapshots * stats.state_bytes}}},
      {"counters", {{"kept", counters.kept_snapshots}, {"evicted", counters.evicted_snapshots}}}};
}

// A tenant's, with its snapshots for models that have them.
json::object TenantPage(const TenantStats& tenant, const EngineStats& total) {
  json::object page =
      TenantJson(tenant, total.cache.pin_capacity_per_tenant_blocks, total.block_bytes);
  if (total.state_bytes > 0) {
    page["states"] = {{"snapshots", tenant.cache.snapshots},
                      {"reserved", tenant.cache.reserved_snapshots},
                      {"bytes", {{"snapshots", tenant.cache.snapshots * total.state_bytes}}}};
  }
  return page;
}

}  // namespace

json::object CacheJson(const EngineSnapshot& snapshot, const Identity& identity) {
  const EngineStats& total = snapshot.total;
  if (identity.admin) {
    json::object page = TotalJson(total);
    if (total.state_bytes > 0) page["states"] = StatesJson(total);
    for (const auto& tier : total.tiers) page[ToText(tier.kind)] = TierJson(tier);
    json::array tenants;
    for (const TenantStats& tenant : snapshot.tenants) {
      tenants.push_back(TenantPage(tenant, total));
    }
    page["tenants"] = std::move(tenants);
    return page;
  }
  TenantStats own;
  own.cache.tenant = identity.tenant;
  for (const TenantStats& tenant : snapshot.tenants) {
    if (tenant.cache.tenant == identity.tenant) own = tenant;
  }
  json::object page = {{"block_tokens", total.block_tokens}, {"block_bytes", total.block_bytes}};
  for (auto& [name, value] : TenantPage(own, total)) page[name] = value;
  return page;
}

asio::awaitable<void> HandleCache(Exchange& exchange) {
  Engine& engine = exchange.service.engine;
  std::function<void(std::function<void(EngineSnapshot)>)> ask = [&engine](auto done) {
    engine.TakeSnapshot(std::move(done));
  };
  const std::optional<EngineSnapshot> snapshot =
      co_await AskEngine<EngineSnapshot>(exchange.service, std::move(ask));
  if (snapshot) {
    co_await exchange.SendJson(json::serialize(CacheJson(*snapshot, exchange.identity)));
  } else {
    co_await exchange.SendError(NoAnswer());
  }
}

asio::awaitable<void> HandleFlush(Exchange& exchange) {
  Engine& engine = exchange.service.engine;
  std::function<void(std::function<void(Result<size_t>)>)> ask = [&engine](auto done) {
    engine.Flush(std::move(done));
  };
  std::optional<Result<size_t>> freed =
      co_await AskEngine<Result<size_t>>(exchange.service, std::move(ask));
  if (!freed) {
    co_await exchange.SendError(NoAnswer());
  } else if (*freed) {
    co_await exchange.SendJson(fmt::format(R"({{"freed_blocks":{}}})", **freed));
  } else {
    co_await exchange.SendError((*freed).error());
  }
}

}  // namespace reprise

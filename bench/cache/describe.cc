// PrefixCache::Describe on a tree of 32,000 blocks of random conversations, each of which goes on
// behind some block of an earlier one. Prints processor time, which a busy machine does not change.
//
//   ninja -C build/release tree_describe && build/release/bench/cache/tree_describe

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <random>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "cache/block_pool.h"
#include "cache/prefix_cache.h"

namespace reprise {
namespace {

constexpr size_t kBlockTokens = 32;
constexpr size_t kBlocks = 32'000;
constexpr int kRuns = 41;

void Ask(PrefixCache& cache, BlockPool& pool, const std::vector<TokenId>& tokens) {
  PrefixMatch match = cache.Match("", tokens, tokens.size());
  Lease lease = std::move(match.lease);
  match.partial_lease.Release();
  for (size_t first = match.blocks.size() * kBlockTokens; first < tokens.size();
       first += kBlockTokens) {
    const size_t end = std::min(first + kBlockTokens, tokens.size());
    const BlockId block = cache.Allocate().value();
    pool.Release(cache.Publish("", std::span(tokens).first(end), first, block, lease));
  }
}

void Fill(PrefixCache& cache, BlockPool& pool) {
  std::mt19937 random(1);
  std::vector<std::vector<TokenId>> past;
  while (cache.sizes().cached_blocks < kBlocks) {
    std::vector<TokenId> tokens;
    if (!past.empty()) {
      tokens = past[random() % past.size()];
      tokens.resize(random() % (tokens.size() / kBlockTokens + 1) * kBlockTokens);
    }
    for (size_t more = 33 + random() % 64; more > 0; --more) {
      tokens.push_back(static_cast<TokenId>(random() % 50'000));
    }
    Ask(cache, pool, tokens);
    past.push_back(std::move(tokens));
  }
}

void Run() {
  const auto pool = BlockPool::Create(kBlocks + 1000, 64).value();
  const SystemClock clock;
  PrefixCache cache(pool.get(), &clock,
                    {.block_tokens = kBlockTokens, .retention = Duration::max()});
  Fill(cache, *pool);
  for (const size_t most : {limits::kShownTreeNodes, limits::kMaxShownTreeNodes}) {
    std::vector<double> times;
    TreeView view;
    for (int i = 0; i < kRuns; ++i) {
      const std::clock_t begin = std::clock();
      view = cache.Describe({.tenant = {}, .most_chains = most});
      times.push_back(1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
    }
    std::ranges::nth_element(times, times.begin() + kRuns / 2);
    fmt::print("{} of {} chains, {} tokens in {} blocks: {:.1f} ms\n", view.chains.size(),
               view.chains.size() + view.left_out_chains, view.tokens, view.blocks,
               times[kRuns / 2]);
  }
}

}  // namespace
}  // namespace reprise

int main() { reprise::Run(); }

// What telling others of blocks costs the engine's thread: publishing prompts of new blocks with no
// listener, with the journal that nobody watches and with one that somebody does; and the snapshot
// that who comes later gets. Prints processor time, which a busy machine does not change.
//
//   ninja -C build/release tell_blocks && build/release/bench/cache/tell_blocks

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cache/block_pool.h"
#include "cache/prefix_cache.h"
#include "engine/block_journal.h"

namespace reprise {
namespace {

constexpr size_t kBlockTokens = 32;
constexpr size_t kBlocks = 100'000;
constexpr size_t kPromptBlocks = 100;
constexpr int kRuns = 9;

enum class Listening { kNobody, kJournal, kWatched };
constexpr std::array kAll = {Listening::kNobody, Listening::kJournal, Listening::kWatched};
constexpr std::array<std::string_view, 3> kNames = {"no listener", "nobody watches",
                                                    "somebody watches"};

double SecondsSince(std::clock_t begin) {
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

double Median(std::vector<double> times) {
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

// Prompts that share nothing, told prompt by prompt.
void Fill(PrefixCache& cache, BlockPool& pool, BlockJournal& journal) {
  std::mt19937 random(1);
  std::vector<TokenId> tokens(kPromptBlocks * kBlockTokens);
  for (size_t blocks = 0; blocks < kBlocks; blocks += kPromptBlocks) {
    std::ranges::generate(tokens, [&] { return static_cast<TokenId>(random() % 50'000); });
    Lease lease;
    for (size_t first = 0; first < tokens.size(); first += kBlockTokens) {
      const BlockId block = cache.Allocate().value();
      pool.Release(
          cache.Publish("", std::span(tokens).first(first + kBlockTokens), first, block, lease));
    }
    journal.Tell();
  }
}

struct Times {
  double fill = 0, snapshot = 0;  // seconds
};

Times Measure(Listening listening) {
  const auto pool = BlockPool::Create(kBlocks, 64).value();
  const SystemClock clock;
  PrefixCache cache(pool.get(), &clock,
                    {.block_tokens = kBlockTokens, .retention = Duration::max()});
  BlockJournal journal(Sha256{}, kBlocks);
  const BlockSink sink = [](const auto&) { return true; };
  if (listening != Listening::kNobody) cache.SetListener(&journal);
  if (listening == Listening::kWatched) journal.Watch(cache, BlockView::kNamesEverywhere, sink);
  Times times;
  std::clock_t begin = std::clock();
  Fill(cache, *pool, journal);
  times.fill = SecondsSince(begin);
  begin = std::clock();
  if (listening != Listening::kNobody) journal.Watch(cache, BlockView::kNamesEverywhere, sink);
  times.snapshot = SecondsSince(begin);
  return times;
}

void Run() {
  std::array<std::vector<double>, kAll.size()> fills;
  std::vector<double> snapshots;
  for (int run = 0; run < kRuns; ++run) {  // in turns
    for (const Listening listening : kAll) {
      const Times times = Measure(listening);
      fills[static_cast<size_t>(listening)].push_back(times.fill);
      if (listening == Listening::kWatched) snapshots.push_back(times.snapshot);
    }
  }
  for (const Listening listening : kAll) {
    const auto which = static_cast<size_t>(listening);
    fmt::print("{}: {:.2f} us for each block of {} tokens\n", kNames[which],
               1e6 * Median(fills[which]) / kBlocks, kBlockTokens);
  }
  fmt::print("snapshot of {} blocks: {:.1f} ms\n", kBlocks, 1e3 * Median(snapshots));
}

}  // namespace
}  // namespace reprise

int main() { reprise::Run(); }

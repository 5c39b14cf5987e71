// Where a request of 128,000 tokens goes, among 64 replicas with a million blocks known: the time
// of Holdings::Find and Decider::Choose together, with nothing of the table in the processor's
// caches that other requests did not leave there. Prints processor time, which a busy machine does
// not change.
//
//   ninja -C build/release fleet_decide && build/release/bench/fleet/fleet_decide

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <random>
#include <vector>

#include "fleet/decision.h"
#include "fleet/holdings.h"

namespace reprise {
namespace {

constexpr size_t kBlocks = 1'000'000;
constexpr size_t kChainBlocks = 128'000 / 32;
constexpr int kRuns = 401;

double Now() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

void Run() {
  std::mt19937_64 random(1);
  Holdings holdings(kBlocks);
  std::vector<std::vector<BlockName>> chains(kBlocks / kChainBlocks);
  for (std::vector<BlockName>& chain : chains) {
    chain.resize(kChainBlocks);
    for (BlockName& name : chain) name = random();
    // Two replicas hold all of it, eight a part.
    for (size_t copy = 0; copy < 10; ++copy) {
      const size_t replica = random() % limits::kMaxReplicas;
      const size_t held = copy < 2 ? kChainBlocks : random() % kChainBlocks;
      for (size_t i = 0; i < held; ++i) {
        holdings.Store(replica, copy % 2 == 0 ? Level::kMemory : Level::kDisk, chain[i]);
      }
    }
  }
  std::vector<ReplicaLoad> loads(limits::kMaxReplicas);
  for (ReplicaLoad& load : loads) load = {.ready = true, .seconds_per_token = 1e-4};
  Decider decider;
  std::vector<Reach> reach(limits::kMaxReplicas);
  std::vector<double> find, choose, both;
  for (int run = 0; run < kRuns; ++run) {
    const std::vector<BlockName>& chain = chains[random() % chains.size()];
    const double begin = Now();
    holdings.Find(chain, reach);
    const double found = Now();
    const Decision decision =
        *decider.Choose({.tokens = kChainBlocks * 32, .tie = chain[0]}, reach, loads, TimePoint{});
    const double end = Now();
    decider.NoteSent(decision, TimePoint{});
    find.push_back(found - begin);
    choose.push_back(end - found);
    both.push_back(end - begin);
  }
  const auto quantile = [](std::vector<double>& times, double q) {
    std::ranges::sort(times);
    return times[static_cast<size_t>(q * static_cast<double>(times.size() - 1))];
  };
  fmt::print("{} blocks known of {} replicas, {:.0f} MB; a chain of {} blocks\n", holdings.size(),
             limits::kMaxReplicas, static_cast<double>(holdings.memory_bytes()) / 1e6,
             kChainBlocks);
  for (auto& [name, times] : {std::pair<const char*, std::vector<double>*>{"find", &find},
                              {"choose", &choose},
                              {"both", &both}}) {
    fmt::print("{:8} median {:6.1f} us, p99 {:6.1f} us\n", name, quantile(*times, 0.5),
               quantile(*times, 0.99));
  }
}

}  // namespace
}  // namespace reprise

int main() { reprise::Run(); }

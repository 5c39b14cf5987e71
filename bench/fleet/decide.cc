// Where a request of 128,000 tokens goes, among 64 replicas with a million blocks known: the time
// of Holdings::Find and Decider::Choose together, with nothing of the table in the processor's
// caches that other requests did not leave there. "aged": after all prompts have been evicted,
// eight at once, a few blocks of one and a few of the next, and replaced by others, each stored at
// once, as when it is sent; three times. "scattered": those are told a few blocks of one and a few
// of the next as well, as when others than this router send them. Prints processor time, which a
// busy machine changes less than the clock's.
//
//   ninja -C build/release fleet_decide && build/release/bench/fleet/fleet_decide

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "fleet/decision.h"
#include "fleet/holdings.h"

namespace reprise {
namespace {

constexpr size_t kBlocks = 1'000'000;
constexpr size_t kChainBlocks = 128'000 / 32;
constexpr size_t kAtOnce = 8;
constexpr size_t kMostTold = 32;  // blocks of a chain, before another one's turn
constexpr int kRuns = 401;

struct Copy {
  size_t replica;
  Level level;
  size_t held;  // leading blocks of the chain
};

struct Prompt {
  std::vector<BlockName> chain;
  std::vector<Copy> copies;
};

using Random = std::mt19937_64;

double Now() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

// Two replicas hold all of it, eight a part.
Prompt NewPrompt(Random& random) {
  Prompt prompt;
  prompt.chain.resize(kChainBlocks);
  for (BlockName& name : prompt.chain) name = random();
  for (size_t copy = 0; copy < 10; ++copy) {
    prompt.copies.push_back({.replica = random() % limits::kMaxReplicas,
                             .level = copy % 2 == 0 ? Level::kMemory : Level::kDisk,
                             .held = copy < 2 ? kChainBlocks : random() % kChainBlocks});
  }
  return prompt;
}

// Calls tell(prompt, i) for each block i of all of them, in turns of so many at most.
template <typename Tell>
void InTurns(std::span<Prompt> prompts, size_t most, Random& random, Tell tell) {
  std::vector<size_t> told(prompts.size());
  for (size_t done = 0; done < prompts.size();) {
    const size_t turn = random() % prompts.size();
    const size_t end = std::min(told[turn] + 1 + random() % most, kChainBlocks);
    done += told[turn] < kChainBlocks && end == kChainBlocks;
    for (; told[turn] < end; ++told[turn]) tell(prompts[turn], told[turn]);
  }
}

void StoreBlock(Holdings& holdings, const Prompt& prompt, size_t i) {
  for (const Copy& copy : prompt.copies) {
    if (i < copy.held) holdings.Store(copy.replica, copy.level, prompt.chain[i]);
  }
}

void ReplaceAll(Holdings& holdings, std::vector<Prompt>& prompts, bool at_once, Random& random) {
  std::ranges::shuffle(prompts, random);
  for (size_t first = 0; first < prompts.size(); first += kAtOnce) {
    const std::span some(prompts.begin() + static_cast<ptrdiff_t>(first),
                         std::min(kAtOnce, prompts.size() - first));
    // What is evicted goes from a chain's end.
    InTurns(some, kMostTold, random, [&](const Prompt& prompt, size_t i) {
      const size_t last = kChainBlocks - 1 - i;
      for (const Copy& copy : prompt.copies) {
        if (last < copy.held) holdings.Remove(copy.replica, copy.level, prompt.chain[last]);
      }
    });
    for (Prompt& prompt : some) prompt = NewPrompt(random);
    const auto store = [&](const Prompt& prompt, size_t i) { StoreBlock(holdings, prompt, i); };
    if (at_once) {
      for (Prompt& prompt : some) InTurns({&prompt, 1}, kChainBlocks, random, store);
    } else {
      InTurns(some, kMostTold, random, store);
    }
  }
}

double Quantile(std::vector<double>& times, double q) {
  std::ranges::sort(times);
  return times[static_cast<size_t>(q * static_cast<double>(times.size() - 1))];
}

void Measure(const char* what, const Holdings& holdings, const std::vector<Prompt>& prompts,
             Random& random) {
  std::vector<ReplicaLoad> loads(limits::kMaxReplicas);
  for (ReplicaLoad& load : loads) load = {.ready = true, .seconds_per_token = 1e-4};
  Decider decider;
  std::vector<Reach> reach(limits::kMaxReplicas);
  std::vector<double> find, choose, both;
  for (int run = 0; run < kRuns; ++run) {
    const std::vector<BlockName>& chain = prompts[random() % prompts.size()].chain;
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
  fmt::print("{}: {} blocks known of {} replicas, {:.0f} MB; a chain of {} blocks\n", what,
             holdings.size(), limits::kMaxReplicas,
             static_cast<double>(holdings.memory_bytes()) / 1e6, kChainBlocks);
  for (auto& [name, times] : {std::pair<const char*, std::vector<double>*>{"find", &find},
                              {"choose", &choose},
                              {"both", &both}}) {
    fmt::print("{:8} median {:6.1f} us, p99 {:6.1f} us\n", name, Quantile(*times, 0.5),
               Quantile(*times, 0.99));
  }
}

void Run() {
  Random random(1);
  Holdings holdings(kBlocks);
  std::vector<Prompt> prompts(kBlocks / kChainBlocks);
  for (Prompt& prompt : prompts) {
    prompt = NewPrompt(random);
    for (size_t i = 0; i < kChainBlocks; ++i) StoreBlock(holdings, prompt, i);
  }
  Measure("new", holdings, prompts, random);
  for (const auto& [what, at_once] : {std::pair{"aged", true}, std::pair{"scattered", false}}) {
    for (int time = 0; time < 3; ++time) ReplaceAll(holdings, prompts, at_once, random);
    Measure(what, holdings, prompts, random);
  }
}

}  // namespace
}  // namespace reprise

int main() { reprise::Run(); }

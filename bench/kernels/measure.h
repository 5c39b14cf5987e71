#pragma once

// How the kernel benchmarks measure. On a shared machine times drift by the second, so a kernel and
// its yardsticks take turns within each iteration, and a figure is the median over the iterations;
// ratios are then of figures from the same minute. One thread calls; the measured functions fork.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace reprise::bench {

int Threads();  // all cores

struct Contender {
  std::string name;
  std::function<void()> run;
};

// Runs all contenders in turn in each iteration of `state`. Counters: `work` per second (in 10^9)
// of each by its name, and for all but the first "x_<name>": the first's rate divided by theirs, of
// medians, and "best_x_<name>", of each one's fastest run (what a busy machine disturbs least).
void TakeTurns(benchmark::State& state, double work, const std::vector<Contender>& contenders);

// One pass of reading over a buffer far larger than the caches, by all threads.
class MemoryRead {
 public:
  MemoryRead();
  void Run();
  double bytes() const { return static_cast<double>(words_.size() * sizeof(uint64_t)); }

 private:
  std::unique_ptr<uint64_t, decltype(&std::free)> pages_{nullptr, &std::free};
  std::span<uint64_t> words_;  // of pages_
};

// `bytes` of huge pages, as weights and the arena have them, kept by `owner`; not yet touched.
std::span<uint64_t> HugePages(size_t bytes, std::unique_ptr<uint64_t, decltype(&std::free)>& owner);

}  // namespace reprise::bench

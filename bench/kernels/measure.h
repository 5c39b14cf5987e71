#pragma once

// How the kernel benchmarks measure. On a shared machine times drift by the second, so a kernel and
// its yardsticks take turns within each iteration, and a figure is the median over the iterations;
// ratios are then of figures from the same minute. One thread calls; the measured functions fork.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/thread_pool.h"
#include "kernels/weight_memory.h"

namespace reprise::bench {

int Threads();       // DefaultThreads()
ThreadPool& Pool();  // of as many

struct Contender {
  std::string name;
  std::function<void()> run;
};

// Runs all contenders in turn in each iteration of `state`. Counters: `work` per second (in 10^9)
// of each by its name, and for all but the first "x_<name>": the first's rate divided by theirs, of
// medians, and "best_x_<name>", of each one's fastest run (what a busy machine disturbs least).
void TakeTurns(benchmark::State& state, double work, const std::vector<Contender>& contenders);

// The rate of contender `name`, which did `factor` times the `work` of the first.
void ScaleContender(benchmark::State& state, const std::string& name, double factor);

// Words in huge pages, as weights and the arena have them; not yet touched.
class HugeWords : public std::span<uint64_t> {
 public:
  explicit HugeWords(size_t bytes = 0) : HugeWords(bytes, WeightMemory().Take(bytes)) {}

 private:
  HugeWords(size_t bytes, std::shared_ptr<uint8_t> memory)
      : span(reinterpret_cast<uint64_t*>(memory.get()), bytes / sizeof(uint64_t)),
        memory_(std::move(memory)) {}
  std::shared_ptr<uint8_t> memory_;
};

// One pass of reading over a buffer far larger than the caches, by all threads.
class MemoryRead {
 public:
  MemoryRead();
  void Run();
  double bytes() const { return static_cast<double>(words_.size() * sizeof(uint64_t)); }

 private:
  HugeWords words_;
};

}  // namespace reprise::bench

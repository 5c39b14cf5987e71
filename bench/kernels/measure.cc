#include "measure.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/cpus.h"

namespace reprise::bench {
namespace {

double Seconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Fastest(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

}  // namespace

int Threads() {
  static const int threads = DefaultThreads();
  return threads;
}

ThreadPool& Pool() {
  static ThreadPool pool(Threads());
  return pool;
}

void TakeTurns(benchmark::State& state, double work, const std::vector<Contender>& contenders) {
  for (const Contender& contender : contenders) contender.run();  // caches, page tables, threads
  std::vector<std::vector<double>> seconds(contenders.size());
  for (auto iteration : state) {
    double first = 0;
    for (size_t i = 0; i < contenders.size(); ++i) {
      seconds[i].push_back(Seconds(contenders[i].run));
      if (i == 0) first = seconds[i].back();
    }
    state.SetIterationTime(first);
  }
  const double first = Median(seconds[0]);
  for (size_t i = 0; i < contenders.size(); ++i) {
    const double median = Median(seconds[i]);
    state.counters[contenders[i].name] = work / median / 1e9;
    if (i == 0) continue;
    state.counters["x_" + contenders[i].name] = median / first;
    state.counters["best_x_" + contenders[i].name] = Fastest(seconds[i]) / Fastest(seconds[0]);
  }
}

void ScaleContender(benchmark::State& state, const std::string& name, double factor) {
  state.counters[name] = state.counters[name] * factor;
  for (const char* ratio : {"x_", "best_x_"}) {
    state.counters[ratio + name] = state.counters[ratio + name] / factor;
  }
}

MemoryRead::MemoryRead() : words_(size_t{512} << 20) { std::fill(words_.begin(), words_.end(), 1); }

void MemoryRead::Run() {
  uint64_t total = 0;
  const auto count = static_cast<int64_t>(words_.size());
#pragma omp parallel for schedule(static) num_threads(Threads()) reduction(+ : total)
  for (int64_t i = 0; i < count; i += 8) {
    const uint64_t* const at = words_.data() + i;
    total += at[0] + at[1] + at[2] + at[3] + at[4] + at[5] + at[6] + at[7];
  }
  benchmark::DoNotOptimize(total);
}

}  // namespace reprise::bench

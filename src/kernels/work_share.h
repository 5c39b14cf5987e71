#pragma once

// Items of work shared among the threads of a team. Each thread has a run of items of its own, the
// same in each call of the same size: it reads memory in order, and where items are rows of its own
// (product_driver.cc), what it wrote in one operation lies in its core's cache in the next. Whoever
// has finished takes from the others', so that nobody waits for a thread that the system keeps from
// running.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reprise {

class WorkShare {
 public:
  explicit WorkShare(int threads) : runs_(static_cast<size_t>(threads)) {}

  // Items 0 .. count - 1. Before the team begins.
  void Reset(int64_t count) {
    const auto threads = static_cast<int64_t>(runs_.size());
    for (int64_t thread = 0; thread < threads; ++thread) {
      Run& run = runs_[static_cast<size_t>(thread)];
      run.next.store(count * thread / threads, std::memory_order_relaxed);
      run.end = count * (thread + 1) / threads;
    }
  }

  // body(item) for each item that falls to thread `thread` of the team. When it returns, all items
  // were taken, but others may be at work on theirs.
  template <typename Body>
  void Take(int thread, Body body) {
    for (size_t i = 0; i < runs_.size(); ++i) {
      Run& run = runs_[(static_cast<size_t>(thread) + i) % runs_.size()];
      for (;;) {
        const int64_t item = run.next.fetch_add(1, std::memory_order_relaxed);
        if (item >= run.end) break;
        body(item);
      }
    }
  }

 private:
  struct alignas(64) Run {
    std::atomic<int64_t> next = 0;
    int64_t end = 0;
  };
  std::vector<Run> runs_;
};

}  // namespace reprise

#include "kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

namespace reprise {
namespace {

using std::chrono::milliseconds;

// How often each item was done.
std::vector<int> Done(ThreadPool& pool, int64_t count) {
  std::vector<std::atomic<int>> times(static_cast<size_t>(count));
  pool.Run(count, [&](int64_t item, int) { ++times[static_cast<size_t>(item)]; });
  return {times.begin(), times.end()};
}

TEST(ThreadPoolTest, EveryItemIsDoneOnceAndBeforeRunReturns) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t count : {0, 1, 2, 3, 7, 1000}) {
      EXPECT_EQ(Done(pool, count), std::vector<int>(static_cast<size_t>(count), 1))
          << count << " items, " << threads << " threads";
    }
  }
}

// Far more threads than cores, so that many come late to a job or hold an item while others wait.
TEST(ThreadPoolTest, ThousandsOfJobsInARowAreEachDoneOnce) {
  ThreadPool pool(8);
  for (int64_t job = 0; job < 20'000; ++job) {
    const int64_t count = 1 + job % 17;
    std::atomic<int64_t> sum = 0;
    pool.Run(count, [&](int64_t item, int) { sum += item + 1; });
    ASSERT_EQ(sum, count * (count + 1) / 2) << "job " << job;
  }
}

TEST(ThreadPoolTest, AlsoAfterAllHaveGoneToSleep) {
  ThreadPool pool(4);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(milliseconds(20));
    EXPECT_EQ(Done(pool, 100), std::vector<int>(100, 1));
  }
}

TEST(ThreadPoolTest, AThreadBeginsWithItsOwnRun) {
  ThreadPool pool(1);
  std::vector<int64_t> order;
  pool.Run(5, [&](int64_t item, int thread) {
    EXPECT_EQ(thread, 0);
    order.push_back(item);
  });
  EXPECT_EQ(order, (std::vector<int64_t>{0, 1, 2, 3, 4}));

  ThreadPool two(2);
  std::atomic<int> first_of_caller = -1;
  two.Run(10, [&](int64_t item, int thread) {
    int none = -1;
    if (thread == 0) first_of_caller.compare_exchange_strong(none, static_cast<int>(item));
    // The other would take the caller's items too before that has begun.
    while (first_of_caller < 0) std::this_thread::yield();
  });
  EXPECT_EQ(first_of_caller, 0);
}

// The caller ends a job by itself while the only other thread is held up by one item.
TEST(ThreadPoolTest, OthersTakeTheItemsOfAThreadThatIsHeldUp) {
  ThreadPool pool(2);
  std::atomic<int> done_by_caller = 0;
  std::atomic<bool> is_held = false;
  pool.Run(100, [&](int64_t item, int thread) {
    if (thread == 1) {
      is_held = true;
      while (done_by_caller < 99) std::this_thread::yield();
      return;
    }
    // Until the other has come, the caller waits with its first item.
    while (item == 0 && !is_held) std::this_thread::yield();
    ++done_by_caller;
  });
  EXPECT_EQ(done_by_caller, 99);
}

TEST(ThreadPoolTest, InOrderTheFirstItemsAreBegunFirst) {
  ThreadPool pool(3);
  std::mutex mutex;
  std::vector<int64_t> begun;
  pool.RunInOrder(300, [&](int64_t item, int) {
    const std::lock_guard lock(mutex);
    begun.push_back(item);
  });
  ASSERT_EQ(begun.size(), 300U);
  // Those that three threads are at may pass each other, no more.
  for (size_t i = 0; i < begun.size(); ++i) {
    EXPECT_LT(begun[i] - static_cast<int64_t>(i), 3) << "at " << i;
  }
}

TEST(ThreadPoolTest, ThreadsAreToldApart) {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> inside(4);
  std::atomic<bool> alone = true;
  pool.Run(1000, [&](int64_t, int thread) {
    if (inside[static_cast<size_t>(thread)]++ != 0) alone = false;
    --inside[static_cast<size_t>(thread)];
  });
  EXPECT_TRUE(alone);
}

TEST(ThreadPoolTest, WhatOneJobWroteTheNextReads) {
  ThreadPool pool(4);
  std::vector<int> values(4096, 1);
  for (int step = 0; step < 200; ++step) {
    pool.Run(64, [&](int64_t item, int) {
      for (size_t i = 0; i < 64; ++i) values[static_cast<size_t>(item) * 64 + i] += 1;
    });
    // Another cut of the same memory.
    pool.Run(16, [&](int64_t item, int) {
      for (size_t i = 0; i < 256; ++i) values[static_cast<size_t>(item) * 256 + i] += 1;
    });
  }
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 4096 * 401);
}

}  // namespace
}  // namespace reprise

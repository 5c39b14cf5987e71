#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "kernels/work_share.h"

namespace reprise {
namespace {

TEST(WorkShareTest, EveryItemIsTakenOnceThoughAThreadNeverComes) {
  WorkShare work(3);
  for (int64_t count : {0, 1, 2, 7, 100}) {
    std::vector<int> taken(static_cast<size_t>(count));
    work.Reset(count);
    for (int thread : {2, 0}) {
      work.Take(thread, [&](int64_t item) { ++taken[static_cast<size_t>(item)]; });
    }
    EXPECT_EQ(taken, std::vector<int>(static_cast<size_t>(count), 1));
  }
}

TEST(WorkShareTest, AThreadBeginsWithItsOwnRun) {
  WorkShare work(2);
  work.Reset(10);
  std::vector<int64_t> order;
  work.Take(1, [&](int64_t item) { order.push_back(item); });
  EXPECT_EQ(order, (std::vector<int64_t>{5, 6, 7, 8, 9, 0, 1, 2, 3, 4}));
}

TEST(WorkShareTest, ThreadsAtOnceTakeEveryItemOnce) {
  constexpr int kThreads = 4;
  constexpr size_t kItems = 100'000;
  WorkShare work(kThreads);
  work.Reset(kItems);
  std::vector<std::atomic<int>> taken(kItems);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      work.Take(thread, [&](int64_t item) { ++taken[static_cast<size_t>(item)]; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t item = 0; item < kItems; ++item) ASSERT_EQ(taken[item], 1) << "item " << item;
}

}  // namespace
}  // namespace reprise

#include "base/fair_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <string>

#include "base/interruption.h"

namespace reprise {
namespace {

// Holds a pool's only thread until it is let go, so that what is posted meanwhile waits.
struct Gate {
  std::promise<void> open;
  std::shared_future<void> opened = open.get_future().share();
  void Hold(FairPool& pool) {
    std::promise<void> begun;
    pool.Post("gate", [opened = opened, &begun] {
      begun.set_value();
      opened.wait();
    });
    begun.get_future().wait();
  }
};

TEST(FairPoolTest, UsersTakeTurnsAndEachKeepsItsOrder) {
  std::string order;
  std::promise<void> done;
  {
    FairPool pool("test", 1, 1);
    Gate gate;
    gate.Hold(pool);
    for (const char* work : {"a1", "a2", "a3", "b1", "b2", "c1"}) {
      pool.Post(std::string(work, 1), [&order, work] { order += std::string(work) + " "; });
    }
    pool.Post("a", [&done] { done.set_value(); });
    gate.open.set_value();
    done.get_future().wait();
  }
  EXPECT_EQ(order, "a1 b1 c1 a2 b2 a3 ");
}

TEST(FairPoolTest, NoUserHasMoreThanItsShareOfTheThreads) {
  FairPool pool("test", 3, 2);
  std::atomic<int> running = 0, most = 0, finished = 0;
  for (int i = 0; i < 12; ++i) {
    pool.Post("a", [&] {
      most = std::max(most.load(), ++running);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      --running;
      ++finished;
    });
  }
  std::promise<void> other;
  pool.Post("b", [&other] { other.set_value(); });
  other.get_future().wait();
  EXPECT_LT(finished, 12) << "b did not wait for all of a";
  while (finished < 12) std::this_thread::yield();
  EXPECT_EQ(most, 2);
}

TEST(FairPoolTest, WhatWaitsIsDroppedAtTheEnd) {
  bool ran = false;
  Gate gate;
  {
    FairPool pool("test", 1, 1);
    gate.Hold(pool);
    pool.Post("a", [&ran] { ran = true; });
    // The pool's end waits for what runs, so the gate is opened by another.
    std::thread([&gate] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      gate.open.set_value();
    }).detach();
    pool.Stop();
    pool.Post("a", [&ran] { ran = true; });
  }
  EXPECT_FALSE(ran);
}

TEST(InterruptionTest, AScopeIsInterruptedByItsTokenAndNothingElseIs) {
  EXPECT_FALSE(IsInterrupted());
  std::stop_source outer, inner;
  const std::stop_token outer_token = outer.get_token(), inner_token = inner.get_token();
  const InterruptibleScope scope(outer_token);
  {
    const InterruptibleScope nested(inner_token);
    outer.request_stop();
    EXPECT_FALSE(IsInterrupted());
    inner.request_stop();
    EXPECT_TRUE(IsInterrupted());
  }
  EXPECT_TRUE(IsInterrupted());
  EXPECT_FALSE(std::async(std::launch::async, IsInterrupted).get()) << "another thread";
}

}  // namespace
}  // namespace reprise

#include "hub/pull_progress.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace reprise {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class PullProgressTest : public testing::Test {
 protected:
  PullProgress Begin(bool terminal) {
    return PullProgress({.clock = &clock_,
                         .terminal = terminal,
                         .write = [this](std::string_view text) { shown_ += text; }},
                        name_, 1'000'000'000);
  }
  std::string Shown() { return std::exchange(shown_, {}); }

  ManualClock clock_;
  std::string shown_;
  std::string name_ = "m.gguf";
};

TEST_F(PullProgressTest, ALogGetsALineEveryFewSeconds) {
  PullProgress progress = Begin(false);
  EXPECT_EQ(Shown(), "fetching m.gguf, 1.0 GB\n");
  for (int i = 0; i < 9; ++i) {
    clock_.Advance(milliseconds(500));
    progress.Fetched(5'000'000);
  }
  EXPECT_EQ(Shown(), "");
  clock_.Advance(milliseconds(500));
  progress.Fetched(5'000'000);
  EXPECT_EQ(Shown(), "m.gguf: 50 MB of 1.0 GB (5 %), 10 MB/s, 1 min 35 s left\n");
  progress.Finish();
  EXPECT_EQ(Shown(), "");
}

TEST_F(PullProgressTest, ATerminalHasOneLineThatIsWrittenAnew) {
  PullProgress progress = Begin(true);
  Shown();
  clock_.Advance(seconds(1));
  progress.Fetched(100'000'000);
  EXPECT_EQ(Shown(), "\rm.gguf: 100 MB of 1.0 GB (10 %), 100 MB/s, 9 s left\x1b[K");
  progress.Fetched(1);
  EXPECT_EQ(Shown(), "") << "too soon";
  progress.Say("the connection was cut");
  EXPECT_EQ(Shown(), "\nthe connection was cut\n");
  progress.Finish();
  EXPECT_EQ(Shown(), "") << "no line is open";
}

TEST_F(PullProgressTest, ATerminalsLineHasRoomForLongNames) {
  name_ = "Q6_K/Some-Model-With-A-Long-Name-Q6_K-00001-of-00003.gguf";
  PullProgress progress = Begin(true);
  EXPECT_EQ(Shown(), "fetching " + name_ + ", 1.0 GB\n");
  clock_.Advance(seconds(1));
  progress.Fetched(1'000'000);
  EXPECT_TRUE(Shown().starts_with("\r…ame-Q6_K-00001-of-00003.gguf: 1 MB of"));
}

TEST_F(PullProgressTest, TheRateIsThatOfTheLastSeconds) {
  PullProgress progress = Begin(false);
  clock_.Advance(seconds(1));
  progress.Fetched(500'000'000);
  for (int i = 0; i < 19; ++i) {
    clock_.Advance(seconds(1));
    progress.Fetched(1'000'000);
  }
  EXPECT_TRUE(Shown().ends_with("m.gguf: 519 MB of 1.0 GB (52 %), 1 MB/s, 8 min 01 s left\n"));
}

TEST_F(PullProgressTest, WhatWasThereIsDoneButNotFetched) {
  PullProgress progress = Begin(false);
  progress.Found(900'000'000);
  Shown();
  clock_.Advance(seconds(5));
  progress.Fetched(50'000'000);
  EXPECT_EQ(Shown(), "m.gguf: 950 MB of 1.0 GB (95 %), 10 MB/s, 5 s left\n");
  progress.Lost(950'000'000);
  clock_.Advance(seconds(5));
  progress.Fetched(50'000'000);
  EXPECT_EQ(Shown(), "m.gguf: 50 MB of 1.0 GB (5 %), 10 MB/s, 1 min 35 s left\n");
}

}  // namespace
}  // namespace reprise

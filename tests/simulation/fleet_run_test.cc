// Small fleets whose every second can be counted by hand: blocks of 100 tokens, 10 ms a token, keys
// that cost nothing, replies of no length unless it is about them.

#include "simulation/fleet_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "simulation/ideal.h"

namespace reprise {
namespace {

constexpr size_t kBlockTokens = 100;

class FleetRunTest : public testing::Test {
 protected:
  FleetRunTest() {
    trace_.block_tokens = kBlockTokens;
    trace_.seconds = 100;
    options_.replicas = 2;
    options_.memory_tokens = 100 * kBlockTokens;
    options_.pace = {.seconds_per_token = 0.01,
                     .keys_per_token = 1e18,
                     .stream_seconds_per_token = 0.1,
                     .disk_seconds_per_token = 0.001};
  }

  TraceRequest& Ask(double at, std::vector<TokenId> blocks, uint32_t session = 0) {
    for (const TokenId block : blocks) {
      trace_.distinct_blocks = std::max(trace_.distinct_blocks, static_cast<size_t>(block) + 1);
    }
    trace_.requests.push_back({.after_seconds = at,
                               .at_seconds = at,
                               .session = session,
                               .tokens = static_cast<uint32_t>(blocks.size() * kBlockTokens),
                               .blocks = std::move(blocks)});
    return trace_.requests.back();
  }
  FleetResult Run(PolicyKind policy) {
    options_.policy = policy;
    return RunFleet(trace_, options_);
  }

  Trace trace_;
  FleetOptions options_;
};

TEST_F(FleetRunTest, APromptTakesItsTokensAtThePaceAndTheNextOneWaits) {
  options_.replicas = 1;
  Ask(0, {0, 1});
  Ask(1, {2});
  const FleetResult result = Run(PolicyKind::kRoundRobin);
  EXPECT_EQ(result.requests, 2u);
  EXPECT_EQ(result.computed_tokens(), 300u);
  // 0 … 2 s and, arrived at 1 s, 2 … 3 s.
  EXPECT_NEAR(result.first_token_p99, 2, 1e-9);
  EXPECT_NEAR(result.first_token_p50, 2, 1e-9);
  EXPECT_NEAR(result.busy_seconds[0], 3, 1e-9);
}

TEST_F(FleetRunTest, KeysMakeLongPromptsSlower) {
  options_.replicas = 1;
  options_.pace.keys_per_token = 100;
  Ask(0, {0, 1});
  // 200 tokens, which attend to 200² / 2 keys in all.
  EXPECT_NEAR(Run(PolicyKind::kRoute).first_token_p50, 0.01 * (200 + 20'000 / 100), 1e-9);
}

TEST_F(FleetRunTest, InTurnsAConversationIsReadHalfAsOften) {
  for (int turn = 0; turn < 4; ++turn) Ask(10 * turn, {0, 1});
  EXPECT_EQ(Run(PolicyKind::kRoundRobin).read_tokens, 2u * 200);
  EXPECT_EQ(Run(PolicyKind::kRoute).read_tokens, 3u * 200);
  EXPECT_EQ(Run(PolicyKind::kSession).read_tokens, 3u * 200);
  EXPECT_EQ(Run(PolicyKind::kHash).read_tokens, 3u * 200);
  EXPECT_EQ(Run(PolicyKind::kApproximateTree).read_tokens, 3u * 200);
}

TEST_F(FleetRunTest, ATurnGoesWhereTheOneBeforeStillWaits) {
  // Both are busy until 4 s, so {8, 9} waits; of two equal queues its own is the longer one then.
  Ask(0, {0, 1, 2, 3});
  Ask(0, {4, 5, 6, 7});
  Ask(1, {8, 9});
  Ask(2, {8, 9});
  EXPECT_EQ(Run(PolicyKind::kRoute).read_tokens, 200u);
}

TEST_F(FleetRunTest, WhatIsNewIsSpread) {
  for (int i = 0; i < 10; ++i) Ask(0, {i});
  EXPECT_NEAR(Run(PolicyKind::kRoute).imbalance(), 1, 1e-9);
}

TEST_F(FleetRunTest, RepliesSlowPromptsByWhatTheirTokensCost) {
  options_.replicas = 1;
  Ask(0, {0}).reply_tokens = 1000;  // from 1 s to 101 s
  Ask(10, {1});
  // A tenth of the machine is the reply's: 1 s of work takes 1 / 0.9 s.
  const FleetResult result = Run(PolicyKind::kRoute);
  EXPECT_NEAR(result.first_token_p99, 1 / 0.9, 1e-6);
  EXPECT_NEAR(result.simulated_seconds, 101, 0.2);
}

TEST_F(FleetRunTest, ASessionWaitsForItsReplyAndThenForItsPause) {
  options_.replicas = 1;
  Ask(0, {0}).reply_tokens = 10;  // ends at 1 + 1 s
  TraceRequest& second = Ask(3, {0, 1});
  second.follows = true;
  options_.time_scale = 2;
  // Comes at 2 + 2 * 3 s, and its second block is computed in 1 s.
  EXPECT_NEAR(Run(PolicyKind::kRoute).simulated_seconds, 9, 0.2);
}

TEST_F(FleetRunTest, WhatMemoryHasNoRoomForIsComputedAgainOrReadFromDisk) {
  options_.replicas = 1;
  options_.memory_tokens = 2 * kBlockTokens;
  Ask(0, {0, 1});
  Ask(10, {2, 3});
  Ask(20, {0, 1});
  EXPECT_EQ(Run(PolicyKind::kRoute).computed_tokens(), 600u);
  options_.disk_tokens = 4 * kBlockTokens;
  const FleetResult result = Run(PolicyKind::kRoute);
  EXPECT_EQ(result.computed_tokens(), 400u);
  EXPECT_EQ(result.loaded_tokens, 200u);
  EXPECT_NEAR(result.busy_seconds[0], 4 + 0.2, 1e-9);
  options_.disk_tokens = 2 * kBlockTokens;
  EXPECT_EQ(Run(PolicyKind::kRoute).loaded_tokens, 0u) << "the disk has dropped them too";
}

TEST_F(FleetRunTest, WhatNeverFitsIsRefusedAndTheOthersGoOn) {
  options_.replicas = 1;
  options_.memory_tokens = 2 * kBlockTokens;
  Ask(0, {0, 1, 2});
  Ask(0, {3});
  const FleetResult result = Run(PolicyKind::kRoute);
  EXPECT_EQ(result.refused, 1u);
  EXPECT_EQ(result.requests, 1u);
  EXPECT_EQ(result.order, std::vector<size_t>{1});
}

TEST_F(FleetRunTest, ARunningReplysPromptIsNotPushedOut) {
  options_.replicas = 1;
  options_.memory_tokens = 2 * kBlockTokens;
  Ask(0, {0, 1}).reply_tokens = 100;  // until 12 s
  Ask(3, {2});
  const FleetResult result = Run(PolicyKind::kRoute);
  EXPECT_NEAR(result.first_token_p99, 12 - 3 + 1, 1e-9);
}

TEST_F(FleetRunTest, TheIdealIsOneCacheWithAllTheMemory) {
  Ask(0, {0, 1});
  Ask(1, {2, 3});
  Ask(2, {0, 1});
  EXPECT_EQ(PlayIdeal(trace_, 4, {0, 1, 2}, options_.pace).read_tokens, 200u);
  EXPECT_EQ(PlayIdeal(trace_, 0, {0, 1, 2}, options_.pace).read_tokens, 200u);
  EXPECT_EQ(PlayIdeal(trace_, 2, {0, 1, 2}, options_.pace).read_tokens, 0u);
}

TEST_F(FleetRunTest, TimesAreStretchedToTheUtilisationAskedFor) {
  Ask(0, {0, 1});
  Ask(100, {2, 3});
  // 4 s of work for two replicas: half busy in 4 s, of which the trace has 100.
  EXPECT_NEAR(ScaleForUtilisation(trace_, options_, 0.5), 0.04, 1e-9);
}

TEST_F(FleetRunTest, TheLongestRequestIsTheLeastImbalance) {
  Ask(0, {0, 1, 2, 3, 4, 5});
  Ask(0, {6, 7});
  const FleetResult result = Run(PolicyKind::kRoute);
  EXPECT_NEAR(result.least_imbalance(), 1.5, 1e-9);
  EXPECT_NEAR(result.imbalance(), 1.5, 1e-9);
}

TEST_F(FleetRunTest, CanBeStopped) {
  for (int i = 0; i < 5000; ++i) Ask(i, {i % 50});
  options_.progress = [](double) { return false; };
  EXPECT_TRUE(Run(PolicyKind::kRoute).stopped);
}

TEST_F(FleetRunTest, ComesOutTheSameEveryTime) {
  for (int i = 0; i < 300; ++i)
    Ask(i / 3, {i % 7, 10 + i % 50, 100 + i}, static_cast<uint32_t>(i % 9));
  for (const PolicyKind policy : {PolicyKind::kRoute, PolicyKind::kRandom}) {
    const FleetResult first = Run(policy), second = Run(policy);
    EXPECT_EQ(first.busy_seconds, second.busy_seconds);
    EXPECT_EQ(first.read_tokens, second.read_tokens);
  }
}

}  // namespace
}  // namespace reprise

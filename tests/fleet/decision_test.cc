// Laws of the decision, each alone.

#include "fleet/decision.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace reprise {
namespace {

using std::chrono::seconds;

constexpr double kPace = 0.001;  // seconds a token

class DecisionTest : public testing::Test {
 protected:
  explicit DecisionTest(size_t replicas = 3) : reach_(replicas), loads_(replicas) {
    for (ReplicaLoad& load : loads_) {
      load = {.ready = true, .seconds_per_token = kPace, .told = now_};
    }
  }

  Decision Choose(size_t tokens = 3200, uint64_t tie = 0) {
    return decider_.Choose({.tokens = tokens, .block_tokens = 32, .tie = tie}, reach_, loads_, now_)
        .value();
  }
  void Hold(size_t replica, uint32_t blocks) { reach_[replica] = {blocks, blocks, blocks}; }
  void Work(size_t replica, double work_seconds) {
    decider_.NoteSent({.replica = replica, .work_seconds = work_seconds}, now_);
  }
  // As if all that was sent were done and told.
  void Tell() {
    now_ += seconds(1);
    for (ReplicaLoad& load : loads_) load.told = now_;
  }

  TimePoint now_ = TimePoint(std::chrono::hours(1));
  Decider decider_;
  std::vector<Reach> reach_;
  std::vector<ReplicaLoad> loads_;
};

TEST_F(DecisionTest, NobodyIsReadyNobodyIsChosen) {
  for (ReplicaLoad& load : loads_) load.ready = false;
  EXPECT_FALSE(decider_.Choose({.tokens = 10}, reach_, loads_, now_));
}

TEST_F(DecisionTest, OnlyWhoIsReadyIsChosen) {
  Hold(0, 100);
  loads_[0].ready = loads_[1].ready = false;
  EXPECT_EQ(Choose().replica, 2u);
  EXPECT_EQ(Choose().reason, DecisionReason::kOnly);
}

TEST_F(DecisionTest, WhoHoldsItGetsItAndIsExpectedToReadIt) {
  Hold(1, 90);
  const Decision decision = Choose();
  EXPECT_EQ(decision.replica, 1u);
  EXPECT_EQ(decision.reason, DecisionReason::kHeld);
  EXPECT_EQ(decision.expected_read_tokens, 90u * 32);
  EXPECT_DOUBLE_EQ(decision.expected_seconds, 10 * 32 * kPace);
}

TEST_F(DecisionTest, TheLastBlocksTokensAreNotCountedBeyondThePrompt) {
  Hold(1, 100);
  EXPECT_EQ(Choose(3190).expected_read_tokens, 3190u);
  EXPECT_DOUBLE_EQ(Choose(3190).expected_seconds, 0);
}

TEST_F(DecisionTest, AHotPrefixSpreadsExactlyWhenWaitingCostsMoreThanItsWeight) {
  Hold(1, 100);
  // To compute all of it elsewhere takes 3.2 s, is weighted, and its place has its price too.
  const double price = 3.2 * (1 + DecisionWeights().again + DecisionWeights().place);
  loads_[1].ahead_seconds = price - 0.01;
  EXPECT_EQ(Choose().replica, 1u);
  loads_[1].ahead_seconds = price + 0.01;
  EXPECT_NE(Choose().replica, 1u);
  EXPECT_EQ(Choose().reason, DecisionReason::kSpread);
}

TEST_F(DecisionTest, WhatWasSentSinceTheLoadWasToldWaitsThere) {
  Work(0, 5);
  EXPECT_DOUBLE_EQ(decider_.AheadSeconds(0, loads_[0], now_ + seconds(2)), 0)
      << "it was told at the same time";
  now_ += std::chrono::milliseconds(1);
  Work(0, 5);
  EXPECT_NEAR(decider_.AheadSeconds(0, loads_[0], now_ + seconds(2)), 3, 0.01);
  loads_[0].told = now_;
  EXPECT_DOUBLE_EQ(decider_.AheadSeconds(0, loads_[0], now_), 0);
}

TEST_F(DecisionTest, WhatNobodyHoldsGoesToWhoWorkedLeast) {
  Work(0, 5);
  Work(1, 4);
  Work(2, 6);
  Tell();
  EXPECT_EQ(Choose().replica, 1u);
  EXPECT_EQ(Choose().reason, DecisionReason::kFree);
}

TEST_F(DecisionTest, WorkLongAgoCountsLess) {
  Work(0, 5);
  now_ += seconds(3600);
  Work(1, 4);
  Work(2, 4);
  Tell();
  EXPECT_EQ(Choose().replica, 0u);
}

TEST_F(DecisionTest, WhoWorkedFarMoreThanOthersGetsNoCreditForWhatHeHolds) {
  Hold(0, 50);
  Hold(1, 50);
  loads_[1].ahead_seconds = 10;
  EXPECT_EQ(Choose().replica, 0u);
  Work(0, 20);  // share 2: replica 1 keeps its credit, and waiting there is worth it
  Work(1, 5);
  Work(2, 5);
  Tell();
  EXPECT_EQ(Choose().replica, 1u);
}

TEST_F(DecisionTest, AFleetThatHasJustBegunIsNotUnevenYet) {
  Hold(0, 90);
  Work(0, 0.7);
  Tell();
  loads_[0].ahead_seconds = 3;
  EXPECT_EQ(Choose().replica, 0u);
}

TEST_F(DecisionTest, WhatIsMarkedGoesWhereItIsKeptHoweverMuchThatReplicaWorked) {
  Hold(0, 100);
  for (size_t replica = 0; replica < 3; ++replica) Work(replica, replica == 0 ? 40 : 5);
  Tell();
  loads_[0].ahead_seconds = 20;
  EXPECT_NE(Choose().replica, 0u);
  const PromptShape marked{.tokens = 3200, .block_tokens = 32, .marked_blocks = 100, .tie = 0};
  EXPECT_EQ(decider_.Choose(marked, reach_, loads_, now_)->replica, 0u);
}

TEST_F(DecisionTest, WhatWasExpectedAndWasNotReadIsWorkToo) {
  const PromptShape shape{.tokens = 3200, .block_tokens = 32};
  for (size_t replica = 0; replica < 3; ++replica) Work(replica, 1);
  Tell();
  Hold(0, 100);
  const Decision decision = Choose();
  ASSERT_EQ(decision.replica, 0u);
  decider_.NoteSent(decision, now_);
  Hold(0, 0);
  Tell();
  EXPECT_EQ(Choose().replica, 0u) << "it was read, so it was no work";
  decider_.NoteRead(shape, decision, 0, loads_[0]);
  EXPECT_NE(Choose().replica, 0u);
}

TEST_F(DecisionTest, EqualPricesAreDecidedByTheTie) {
  std::set<size_t> chosen;
  for (uint64_t tie = 0; tie < 3; ++tie) {
    EXPECT_EQ(Choose(3200, tie).replica, Choose(3200, tie).replica);
    chosen.insert(Choose(3200, tie).replica);
  }
  EXPECT_EQ(chosen.size(), 3u);
}

TEST_F(DecisionTest, WhatLiesOnDiskIsReadWhereThatIsFasterThanComputing) {
  reach_[2] = {.memory_blocks = 0, .disk_blocks = 80, .loadable_blocks = 100};
  loads_[2].disk_seconds_per_token = kPace / 10;
  loads_[2].shared_seconds_per_token = kPace / 5;
  const Decision decision = Choose();
  EXPECT_EQ(decision.replica, 2u);
  EXPECT_NEAR(decision.expected_seconds, 80 * 32 * kPace / 10 + 20 * 32 * kPace / 5, 1e-9);
}

TEST_F(DecisionTest, AReplicaThatKnowsNoPaceYetIsTakenToBeTheFastest) {
  loads_[0].seconds_per_token = 2 * kPace;
  loads_[2].seconds_per_token = 0;
  loads_[1].seconds_per_token = 1.5 * kPace;
  EXPECT_EQ(Choose(3200, 0).replica, 1u) << "of equal ones the first";
  EXPECT_EQ(Choose(3200, 2).replica, 2u);
  for (ReplicaLoad& load : loads_) load.seconds_per_token = 0;
  Hold(2, 100);
  EXPECT_EQ(Choose().replica, 2u) << "nobody knows any: tokens are compared";
}

TEST_F(DecisionTest, RepliesThatAreBeingWrittenAreWorkToo) {
  loads_[0].replies = 3;
  loads_[1].replies = 2;
  loads_[2].replies = 2;
  const Decision decision = Choose(3200, 0);
  EXPECT_EQ(decision.replica, 1u);
  EXPECT_NEAR(decision.expected_seconds, (3200 + 2 * Decider::kReplyTokens) * kPace, 1e-9);
}

TEST_F(DecisionTest, AReplicaThatBeginsAnewIsNotFlooded) {
  Work(0, 6);
  Work(1, 10);
  Work(2, 10);
  decider_.Forget(0, now_);
  Tell();
  EXPECT_EQ(Choose(3200, 1).replica, 1u) << "as much as the others: the tie decides";
}

}  // namespace
}  // namespace reprise

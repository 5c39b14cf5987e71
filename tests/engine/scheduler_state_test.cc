// Recurrent states on their way through the scheduler: where snapshots are kept, what is read from
// them, and that every sequence always has the state of exactly its own tokens.

#include <algorithm>
#include <random>

#include "scheduler_fixture.h"

namespace reprise {
namespace {

using std::chrono::minutes;

class SchedulerStateTest : public SchedulerTest {
 protected:
  static constexpr size_t kInterval = 16;  // tokens: four blocks

  void Make(size_t blocks, States states, size_t pin_blocks = 0, size_t chunk = 8) {
    MakePool(
        blocks,
        {.prefill_chunk = chunk, .prefill_chunk_beside_decode = 3, .state_interval = kInterval},
        pin_blocks, states);
  }
  SequenceId Mark(std::vector<TokenId> prompt, int reply, std::vector<Breakpoint> breakpoints) {
    return Ask(std::move(prompt), reply, "a", CacheUse::kReadAndPublish, Priority::kNormal,
               std::move(breakpoints));
  }
  size_t Readable(const std::vector<TokenId>& tokens) {
    return cache_->PeekReadable("a", tokens, tokens.size());
  }
  // Runs it alone; how many tokens were read.
  size_t Run(std::vector<TokenId> prompt, int reply = 1) {
    const SequenceId id = Ask(std::move(prompt), reply);
    RunUntilIdle();
    return cached_[id];
  }
  static std::vector<TokenId> Join(std::vector<TokenId> a, const std::vector<TokenId>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
};

TEST_F(SchedulerStateTest, TheNextTurnReadsUpToTheReplysEnd) {
  Make(32, {8, 2, 0});
  const auto prompt = Count(1, 10);
  const SequenceId id = Ask(prompt, 6);
  RunUntilIdle();
  auto next = Join(prompt, replies_[id]);
  EXPECT_EQ(Readable(next), 15U) << "the last token was drawn, not computed";
  EXPECT_EQ(Readable(prompt), 10U);
  next.push_back(99);
  EXPECT_EQ(Run(next, 3), 15U);
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, WithoutSharedPrefixesThereAreNoMoreCopiesThanPlaces) {
  Make(64, {16, 2, 0});
  Run(Count(1, 70), 10);
  // Every 16 tokens of 79, the prompt's end, and the reply's, which is given and not copied.
  EXPECT_EQ(cache_->counters().kept_snapshots, 4U + 1 + 1);
  EXPECT_EQ(Readable(Count(1, 15)), 0U);
  EXPECT_EQ(Readable(Count(1, 47)), 32U);
  Run(Count(500, 10), 0);
  EXPECT_EQ(cache_->counters().kept_snapshots, 7U) << "a fill ends where its prompt does";
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, ABranchIsReadByTheThirdThatTakesIt) {
  Make(64, {16, 2, 0});
  const auto common = Count(1, 14);  // three blocks and a half
  EXPECT_EQ(Run(Join(common, {100, 101})), 0U);
  const SequenceId second = Ask(Join(common, {200}), 1);
  RunUntilIdle();
  EXPECT_EQ(cached_[second], 0U) << "K and V are there, but no state";
  EXPECT_EQ(Run(Join(common, {300})), 12U);
  EXPECT_EQ(Run(Join(Count(1, 13), {400})), 12U) << "a neighbour of the branch reads as much";
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, AMarkedPlaceIsReadToTheTokenAndKeptUnderPressure) {
  Make(40, {6, 2, 3}, 8);
  const SequenceId first =
      Mark(Count(1, 21), 3, {{5, minutes(5)}, {6, minutes(5)}, {17, minutes(60)}});
  RunUntilIdle();
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(outcomes_[first].at(i).accepted());
  for (TokenId i = 1; i < 20; ++i) Run(Count(100 * i, 30), 3);
  EXPECT_EQ(cache_->sizes().pinned_snapshots, 3U);
  EXPECT_EQ(Readable(Count(1, 21)), 17U);
  EXPECT_EQ(Run(Join(Count(1, 17), {500, 501})), 17U);
  EXPECT_EQ(Run(Join(Count(1, 6), {500, 501})), 6U);
  EXPECT_EQ(Run(Join(Count(1, 5), {500, 501})), 5U);
  const SequenceId another = Mark(Count(900, 8), 1, {{8, minutes(5)}});
  RunUntilIdle();
  EXPECT_EQ(outcomes_[another].at(0).decision, PinDecision::kPoolFull)
      << "promises have three snapshots";
  clock_.Advance(minutes(60));
  cache_->Expire();
  EXPECT_EQ(cache_->sizes().pinned_snapshots, 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, AMarkWithoutASnapshotIsComputedThroughOnce) {
  Make(40, {8, 2, 3}, 10);
  Run(Count(1, 30));
  const SequenceId marks = Mark(Count(1, 30), 1, {{7, minutes(5)}});
  RunUntilIdle();
  EXPECT_TRUE(outcomes_[marks].at(0).accepted());
  EXPECT_EQ(cached_[marks], 0U);
  EXPECT_EQ(Readable(Count(1, 8)), 7U);
  const SequenceId again = Mark(Count(1, 30), 1, {{7, minutes(5)}});
  RunUntilIdle();
  EXPECT_EQ(cached_[again], 16U);
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, WhoWaitsForAPrefixMeetsItAtABlocksEdge) {
  Make(64, {12, 4, 0});
  const SequenceId first = Ask(Count(1, 31), 1);
  Step();
  const SequenceId second = Ask(Join(Count(1, 27), {500, 501, 502}), 1);
  const SequenceId same = Ask(Count(1, 31), 0);
  RunUntilIdle();
  EXPECT_EQ(prompt_rows_[first], 31U);
  EXPECT_EQ(cached_[second], 24U);
  EXPECT_EQ(cached_[same], 31U);
  EXPECT_EQ(prompt_rows_[second], 6U);
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, WhoFindsNoStateFreeWaits) {
  Make(64, {4, 2, 0});
  std::vector<SequenceId> ids;
  for (TokenId i = 0; i < 6; ++i) ids.push_back(Ask(Count(100 * i, 9), 5));
  Step();
  EXPECT_EQ(scheduler_->running(), 2U);
  EXPECT_EQ(cache_->sizes().working_states, 2U);
  RunUntilIdle();
  for (const SequenceId id : ids) EXPECT_EQ(replies_[id].size(), 5U);
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, WhoIsSetAsideEndsAllTheSame) {
  Make(13, {8, 3, 0});
  std::vector<SequenceId> ids;
  for (TokenId i = 0; i < 3; ++i) ids.push_back(Ask(Count(100 * i, 6), 20));
  RunUntilIdle();
  EXPECT_GT(scheduler_->preempted(), 0U);
  for (const SequenceId id : ids) EXPECT_EQ(replies_[id].size(), 20U);
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, TheOnlySnapshotThereIsBecomesTheStateOfWhoReadsIt) {
  Make(16, {2, 1, 1}, 4);
  Mark(Count(500, 4), 0, {{4, minutes(5)}});
  RunUntilIdle();
  EXPECT_EQ(cache_->sizes().pinned_snapshots, 1U);
  EXPECT_EQ(Run(Count(1, 6), 0), 0U);
  EXPECT_EQ(Run(Count(1, 9), 0), 6U);
  EXPECT_EQ(Readable(Count(1, 9)), 9U);
  EXPECT_EQ(Readable(Count(1, 6)), 0U);
  EXPECT_EQ(Readable(Count(500, 4)), 4U);
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, WhatIsCancelledKeepsItsState) {
  Make(32, {8, 2, 2}, 8);
  const SequenceId id = Mark(Count(1, 31), 5, {{3, minutes(5)}, {20, minutes(5)}});
  Step();  // up to the first mark
  Step();
  EXPECT_NE(scheduler_->Remove(id), nullptr);
  EXPECT_EQ(Readable(Count(1, 31)), 11U);
  EXPECT_EQ(cache_->sizes().promises, 1U);
  EXPECT_EQ(cache_->sizes().pinned_snapshots, 1U);
  EXPECT_EQ(cache_->sizes().reserved_snapshots, 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerStateTest, WhoDoesNotUseTheCacheLeavesNothing) {
  Make(32, {8, 2, 0});
  Ask(Count(1, 40), 5, "a", CacheUse::kNone);
  RunUntilIdle();
  EXPECT_EQ(cache_->sizes().snapshots, 0U);
  ExpectNothingHeld();
}

// Any mixture of requests, cancellations, expiry and flushes, in arenas that leave room for just
// one longest request beside what promises may hold.
TEST_F(SchedulerStateTest, RandomLoadsKeepEveryPromiseAndMakeProgress) {
  struct Kept {
    std::string scope;
    std::vector<TokenId> prefix;
    TimePoint until;
  };
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto upto = [&](size_t n) { return static_cast<size_t>(random() % n); };
  constexpr size_t kLongest = 24 + 8;  // tokens
  size_t accepted = 0, refused = 0, preempted = 0, evicted = 0, read = 0;
  for (int round = 0; round < 120; ++round) {
    const size_t pinned = 1 + upto(round % 2 == 0 ? 4 : 30);
    const size_t blocks = kLongest / kBlockTokens + pinned + (round % 3 == 0 ? 0 : upto(9));
    const States states = {.count = 2 + upto(14), .working = 0, .pinned = 0};
    States shares = states;
    shares.working = 1 + upto(std::min<size_t>(states.count - 1, 4));
    shares.pinned = upto(states.count - shares.working + 1);
    MakePool(blocks,
             {.prefill_chunk = 1 + upto(12),
              .prefill_chunk_beside_decode = 1 + upto(3),
              .state_interval = kBlockTokens * (1 + upto(6))},
             pinned, shares);
    std::vector<Kept> kept;
    uint64_t flushed = 0;
    ended_ = [&](const Sequence& sequence) {
      read += sequence.cached_tokens;
      if (sequence.id.value <= flushed) return;  // what it had reached then, went
      for (const BreakpointOutcome& outcome : sequence.breakpoints) {
        if (!outcome.accepted()) continue;
        const auto begin = sequence.tokens.begin();
        kept.push_back({sequence.request.scope,
                        {begin, begin + static_cast<std::ptrdiff_t>(outcome.tokens)},
                        sequence.submitted + outcome.ttl});
      }
    };
    const auto expect_kept = [&] {
      std::erase_if(kept, [this](const Kept& each) { return each.until <= clock_.Now(); });
      for (const Kept& each : kept) {
        ASSERT_EQ(cache_->PeekReadable(each.scope, each.prefix, each.prefix.size()),
                  each.prefix.size());
      }
    };
    std::vector<SequenceId> asked;
    for (int event = 0; event < 150; ++event) {
      const size_t kind = upto(24);
      if (kind < 6) {
        asked.push_back(AskMarked(random, 24));
      } else if (kind == 6 && !asked.empty()) {
        scheduler_->Remove(asked[upto(asked.size())]);
      } else if (kind == 7 && upto(3) == 0) {
        cache_->Flush();
        kept.clear();
        flushed = next_id_ - 1;
      } else if (kind == 8) {
        clock_.Advance(minutes(upto(9)));
        cache_->Expire();
      } else {
        Step();
      }
      expect_kept();
      if (HasFailure()) return;
    }
    RunUntilIdle();
    expect_kept();
    if (HasFailure()) return;
    accepted += cache_->counters().promises;
    refused += cache_->counters().refused_promises;
    preempted += scheduler_->preempted();
    evicted += cache_->counters().evicted_snapshots;
    ended_ = nullptr;
    ExpectNothingHeld();
  }
  EXPECT_GT(accepted, 300U);
  EXPECT_GT(refused, 100U);
  EXPECT_GT(preempted, 10U);
  EXPECT_GT(evicted, 500U);
  EXPECT_GT(read, 2000U);
}

}  // namespace
}  // namespace reprise

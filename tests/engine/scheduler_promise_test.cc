// Breakpoints on their way through the scheduler: accepted when admitted, promised as published.

#include <algorithm>
#include <random>

#include "scheduler_fixture.h"

namespace reprise {
namespace {

using std::chrono::minutes;

class SchedulerPromiseTest : public SchedulerTest {
 protected:
  inline static const Scheduler::Options kOptions = {.prefill_chunk = 8,
                                                     .prefill_chunk_beside_decode = 3};

  SequenceId Mark(std::vector<TokenId> prompt, int reply, std::vector<Breakpoint> breakpoints,
                  std::string scope = "a", CacheUse use = CacheUse::kReadAndPublish) {
    return Ask(std::move(prompt), reply, std::move(scope), use, Priority::kNormal,
               std::move(breakpoints));
  }
  bool Accepted(SequenceId id, size_t index = 0) { return outcomes_.at(id).at(index).accepted(); }
  void Pass(Duration time) {
    clock_.Advance(time);
    cache_->Expire();
  }
};

TEST_F(SchedulerPromiseTest, AMarkedPrefixIsReadWhateverRanMeanwhile) {
  MakePool(16, kOptions, 6);
  const SequenceId first = Mark(Count(1, 21), 3, {{17, minutes(5)}, {21, minutes(60)}});
  RunUntilIdle();
  EXPECT_TRUE(Accepted(first, 0) && Accepted(first, 1));
  EXPECT_EQ(cache_->sizes().promises, 2U);
  for (TokenId i = 1; i < 20; ++i) {
    Ask(Count(100 * i, 30), 3);
    RunUntilIdle();
  }
  EXPECT_EQ(cache_->Peek("a", Count(1, 21)), 21U);
  Pass(minutes(60));
  EXPECT_EQ(cache_->Peek("a", Count(1, 21)), 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerPromiseTest, TheLifetimeCountsFromTheSubmissionAndARequestThatWaitsStillFindsIt) {
  MakePool(8, kOptions, 3);
  Mark(Count(1, 8), 1, {{8, minutes(20)}});
  RunUntilIdle();
  Ask(Count(100, 16), 4);  // leaves no room for the next beside it
  Step();
  clock_.Advance(minutes(19));
  const SequenceId waits = Mark(Count(1, 20), 1, {{12, minutes(30)}});
  Step();
  EXPECT_FALSE(cached_.contains(waits));
  Pass(minutes(19));  // without the request, the promise would have ended
  RunUntilIdle();
  EXPECT_EQ(cached_[waits], 8U);
  EXPECT_EQ(cache_->sizes().promises, 2U);
  Pass(minutes(1));
  EXPECT_EQ(cache_->sizes().promises, 1U) << "renewed from its start, not from its admission";
  Pass(minutes(10));
  EXPECT_EQ(cache_->sizes().promises, 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerPromiseTest, AHitRenewsWhatWasPromisedOnlyAfterItsRequestCame) {
  MakePool(32, kOptions, 16);
  const SequenceId first = Mark(Count(1, 20), 1, {{20, minutes(20)}});
  Step();
  clock_.Advance(minutes(5));
  const SequenceId second = Ask(Count(1, 21), 1);  // waits for the first one's prefill
  RunUntilIdle();
  EXPECT_TRUE(Accepted(first));
  EXPECT_EQ(cached_[second], 20U);
  Pass(minutes(15));
  EXPECT_EQ(cache_->sizes().promises, 1U);
  Pass(minutes(5));
  EXPECT_EQ(cache_->sizes().promises, 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerPromiseTest, ACancelledRequestKeepsWhatItReached) {
  MakePool(32, {.prefill_chunk = 6}, 16);
  const SequenceId id =
      Mark(Count(1, 30), 5, {{3, minutes(5)}, {5, minutes(5)}, {7, minutes(5)}, {20, minutes(5)}});
  Step();
  EXPECT_EQ(cache_->sizes().promises, 1U);
  EXPECT_GT(cache_->sizes().reserved_blocks, 0U);
  EXPECT_NE(scheduler_->Remove(id), nullptr);
  EXPECT_EQ(cache_->sizes().promises, 2U);
  EXPECT_EQ(cache_->sizes().pinned_blocks, 2U);
  ExpectNothingHeld();
}

TEST_F(SchedulerPromiseTest, WhoDoesNotUseTheCachePromisesAndRenewsNothing) {
  MakePool(32, kOptions, 16);
  const SequenceId hidden = Mark(Count(1, 8), 1, {{8, minutes(5)}}, "a", CacheUse::kNone);
  RunUntilIdle();
  EXPECT_TRUE(outcomes_[hidden].empty());
  EXPECT_EQ(cache_->sizes().promises, 0U);
  Mark(Count(1, 8), 1, {{8, minutes(5)}});
  RunUntilIdle();
  Pass(minutes(3));
  Ask(Count(1, 8), 1, "a", CacheUse::kNone);
  RunUntilIdle();
  Pass(minutes(2));
  EXPECT_EQ(cache_->sizes().promises, 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerPromiseTest, WhenPinnedMemoryIsFullServiceGoesOn) {
  MakePool(12, kOptions, 4);
  for (TokenId i = 0; i < 6; ++i) {
    const SequenceId id = Mark(Count(100 * i, 16), 4, {{8, minutes(5)}, {16, minutes(60)}});
    RunUntilIdle();
    EXPECT_EQ(replies_[id].size(), 4U);
    EXPECT_EQ(Accepted(id, 0), i == 0);
    EXPECT_EQ(Accepted(id, 1), i == 0);
  }
  const SequenceId longest = Ask(Count(1000, 20), 12);  // all that is not pinned
  RunUntilIdle();
  EXPECT_EQ(replies_[longest].size(), 12U);
  EXPECT_EQ(cache_->Peek("a", Count(0, 16)), 16U);
  ExpectNothingHeld();
}

TEST_F(SchedulerPromiseTest, ASequenceThatIsSetAsideKeepsItsReservationAndItsPromise) {
  MakePool(13, kOptions, 5);
  std::vector<SequenceId> ids;
  for (TokenId i = 0; i < 3; ++i) {
    ids.push_back(Mark(Count(100 * i, 6), 20, {{3, minutes(5)}, {6, minutes(5)}}));
  }
  RunUntilIdle();
  EXPECT_GT(scheduler_->preempted(), 0U);
  size_t kept = 0;
  for (TokenId i = 0; i < 3; ++i) {
    if (!Accepted(ids[static_cast<size_t>(i)], 1)) continue;
    ++kept;
    EXPECT_EQ(cache_->Peek("a", Count(100 * i, 6)), 6U);
  }
  EXPECT_EQ(kept, 2U);
  ExpectNothingHeld();
}

// What was promised to requests that ended, and until when, to be looked up at any time.
class SchedulerPromiseLoadTest : public SchedulerPromiseTest {
 protected:
  struct Kept {
    std::string scope;
    std::vector<TokenId> prefix;
    TimePoint until;
  };

  void KeepAccount() {
    kept_.clear();
    flushed_.value = 0;
    ended_ = [this](const Sequence& sequence) {
      if (sequence.id.value <= flushed_.value) return;  // what it had reached then, went
      for (const BreakpointOutcome& outcome : sequence.breakpoints) {
        if (!outcome.accepted()) continue;
        const auto begin = sequence.tokens.begin();
        kept_.push_back({sequence.request.scope,
                         {begin, begin + static_cast<std::ptrdiff_t>(outcome.tokens)},
                         sequence.submitted + outcome.ttl});
      }
    };
  }
  void Flush() {
    cache_->Flush();
    kept_.clear();
    flushed_.value = next_id_ - 1;
  }
  void ExpectKept() {
    std::erase_if(kept_, [this](const Kept& kept) { return kept.until <= clock_.Now(); });
    for (const Kept& kept : kept_) {
      ASSERT_EQ(cache_->Peek(kept.scope, kept.prefix), kept.prefix.size());
    }
  }

  std::vector<Kept> kept_;
  SequenceId flushed_;  // requests up to this one saw a flush
};

// Any mixture of requests, cancellations, expiry and flushes, in pools that leave room for just one
// longest request beside what promises may hold.
TEST_F(SchedulerPromiseLoadTest, RandomLoadsKeepEveryPromiseAndMakeProgress) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto upto = [&](size_t n) { return static_cast<size_t>(random() % n); };
  constexpr size_t kLongest = 16 + 8;  // tokens
  size_t accepted = 0, refused = 0, preempted = 0;
  for (int round = 0; round < 120; ++round) {
    const size_t pinned = 1 + upto(round % 2 == 0 ? 4 : 30);
    const size_t blocks = kLongest / kBlockTokens + pinned + (round % 3 == 0 ? 0 : upto(5));
    MakePool(blocks, {.prefill_chunk = 1 + upto(12), .prefill_chunk_beside_decode = 1}, pinned);
    KeepAccount();
    std::vector<SequenceId> asked;
    for (int event = 0; event < 150; ++event) {
      const size_t kind = upto(24);
      if (kind < 6) {
        asked.push_back(AskMarked(random, 16));
      } else if (kind == 6 && !asked.empty()) {
        scheduler_->Remove(asked[upto(asked.size())]);
      } else if (kind == 7 && upto(3) == 0) {
        Flush();
      } else if (kind == 8) {
        Pass(minutes(upto(9)));
      } else {
        Step();
      }
      ExpectKept();
      if (HasFailure()) return;
    }
    RunUntilIdle();
    ExpectKept();
    if (HasFailure()) return;
    accepted += cache_->counters().promises;
    refused += cache_->counters().refused_promises;
    preempted += scheduler_->preempted();
    ExpectNothingHeld();
  }
  EXPECT_GT(accepted, 1000U);
  EXPECT_GT(refused, 100U);
  EXPECT_GT(preempted, 10U);
}

}  // namespace
}  // namespace reprise

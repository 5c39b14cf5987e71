// The scheduler without a model, see scheduler_fixture.h: order, sharing, setting aside.

#include <random>

#include "scheduler_fixture.h"

namespace reprise {
namespace {

TEST_F(SchedulerTest, ARepeatedPromptIsReadButForItsLastToken) {
  MakePool(32);
  for (size_t length = 1; length <= 13; ++length) {
    const auto prompt = Count(static_cast<TokenId>(100 * length), length);
    const SequenceId cold = Ask(prompt, 1);
    RunUntilIdle();
    const SequenceId warm = Ask(prompt, 1);
    RunUntilIdle();
    EXPECT_EQ(cached_[cold], 0U);
    EXPECT_EQ(prompt_rows_[cold], length);
    EXPECT_EQ(cached_[warm], length - 1);
    EXPECT_EQ(prompt_rows_[warm], 1U);
    EXPECT_EQ(replies_[warm], replies_[cold]);
  }
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, APartlyKnownPromptIsReadToTheToken) {
  MakePool(64);
  const auto known = Count(1, 20);
  Ask(known, 1);
  RunUntilIdle();
  for (size_t common = 1; common < known.size(); ++common) {
    std::vector<TokenId> prompt(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(common));
    prompt.insert(prompt.end(), {500, 501, 502});
    const SequenceId id = Ask(prompt, 2);
    RunUntilIdle();
    EXPECT_EQ(cached_[id], common);
    EXPECT_EQ(prompt_rows_[id], 3U);
  }
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, RequestsAtOnceComputeACommonPrefixOnce) {
  MakePool(64);
  std::vector<SequenceId> ids;
  for (TokenId i = 0; i < 8; ++i) {
    auto prompt = Count(1, 30);
    prompt.push_back(1000 + i);
    ids.push_back(Ask(prompt, 5));
  }
  RunUntilIdle();
  EXPECT_EQ(prompt_rows_[ids[0]], 31U);
  for (size_t i = 1; i < ids.size(); ++i) EXPECT_EQ(prompt_rows_[ids[i]], 1U) << i;
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, APromptIsReadableToItsEndWhileItsReplyIsStillRunning) {
  MakePool(64);
  const SequenceId stream = Ask(Count(1, 10), 100);
  for (int step = 0; step < 3; ++step) Step();
  const SequenceId second = Ask(Count(1, 10), 1);
  Step();
  EXPECT_FALSE(replies_.contains(stream));
  EXPECT_EQ(cached_[second], 9U);
  EXPECT_TRUE(replies_.contains(second));
  RunUntilIdle();
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, TheNextTurnReadsPromptAndReply) {
  MakePool(64);
  std::vector<TokenId> conversation = Count(1, 10);
  size_t known = 0;
  for (int turn = 0; turn < 4; ++turn) {
    const SequenceId id = Ask(conversation, 6);
    RunUntilIdle();
    EXPECT_EQ(cached_[id], known) << "turn " << turn;
    conversation.insert(conversation.end(), replies_[id].begin(), replies_[id].end());
    known = conversation.size() - 1;  // the last token of a reply is never computed
    conversation.insert(conversation.end(), {700, 701, 702});
  }
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, ACancelledPrefillLeavesWhatItComputed) {
  MakePool(64);
  const auto prompt = Count(1, 30);
  const SequenceId id = Ask(prompt, 5);
  Step();
  EXPECT_NE(scheduler_->Remove(id), nullptr);
  EXPECT_EQ(cache_->Peek("a", prompt), 8U);
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, WhoWaitedForACancelledPrefillGoesOnByItself) {
  MakePool(64);
  const SequenceId first = Ask(Count(1, 30), 5);
  const SequenceId second = Ask(Count(1, 30), 5);
  Step();
  scheduler_->Remove(first);
  RunUntilIdle();
  EXPECT_EQ(cached_[second], 8U);
  EXPECT_EQ(replies_[second].size(), 5U);
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, ScopesShareNothing) {
  MakePool(64);
  Ask(Count(1, 20), 1, "a");
  const SequenceId other = Ask(Count(1, 20), 1, "b");
  RunUntilIdle();
  EXPECT_EQ(cached_[other], 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, WhoDoesNotUseTheCacheNeitherReadsNorPublishes) {
  MakePool(64);
  const SequenceId hidden = Ask(Count(1, 20), 3, "a", CacheUse::kNone);
  RunUntilIdle();
  EXPECT_EQ(cache_->Peek("a", Count(1, 20)), 0U);
  EXPECT_EQ(replies_[hidden].size(), 3U);
  Ask(Count(1, 20), 1);
  RunUntilIdle();
  const SequenceId again = Ask(Count(1, 20), 3, "a", CacheUse::kNone);
  RunUntilIdle();
  EXPECT_EQ(cached_[again], 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, AFillComputesThePromptAndNothingElse) {
  MakePool(64);
  const SequenceId fill = Ask(Count(1, 18), 0);
  RunUntilIdle();
  EXPECT_EQ(prompt_rows_[fill], 18U);
  EXPECT_TRUE(replies_[fill].empty());
  EXPECT_EQ(cache_->Peek("a", Count(1, 18)), 18U);
  const SequenceId again = Ask(Count(1, 18), 0);
  RunUntilIdle();
  EXPECT_EQ(prompt_rows_[again], 0U);
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, AStreamAdvancesInEveryStepBesideAPrefill) {
  MakePool(64);
  Ask(Count(1, 3), 30);
  Step();
  Ask(Count(100, 60), 1);
  for (int step = 0; step < 10; ++step) {
    rows_of_step_ = 0;
    Step();
    EXPECT_EQ(rows_of_step_, 1U + 3U) << "one row of the stream, one small chunk of the prompt";
  }
  RunUntilIdle();
  ExpectNothingHeld();
}

// A machine on which a step takes 1 ms for each unit of cost, and where attending to 20 keys costs
// as much as a row's products.
TEST_F(SchedulerTest, AStepBesideAStreamFitsItsPauseHoweverDeepThePrompt) {
  using std::chrono::milliseconds;
  const StepPace machine(0.05);
  MakePool(200, {.prefill_chunk = 64,
                 .prefill_chunk_beside_decode = 64,
                 .stream_pause = milliseconds(100),
                 .cost_per_key = 0.05});
  Ask(Count(1, 3), 300);
  Step();
  const SequenceId lengthy = Ask(Count(1000, 400), 1);
  size_t least = 64, most = 0;
  for (int step = 0; replies_.count(lengthy) == 0; ++step) {
    ASSERT_LT(step, 100);
    const size_t before = prompt_rows_[lengthy];
    Step();
    const size_t rows = prompt_rows_[lengthy] - before;
    const double took = machine.Cost(rows, before);
    scheduler_->Observe(milliseconds(1) * static_cast<int64_t>(took));
    if (rows == 0 || prompt_rows_[lengthy] == 400) continue;
    if (rows > 16) {
      EXPECT_LE(took, 105) << "at " << before;
    }
    if (step > 0) {
      EXPECT_GE(rows, 16U) << "a prompt comes to its end";
    }
    least = std::min(least, rows);
    most = std::max(most, rows);
  }
  EXPECT_EQ(least, 16U);
  EXPECT_GT(most, 28U);
  RunUntilIdle();
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, StreamsThatReadTheSameBlocksAreSideBySideInTheBatch) {
  MakePool(64);
  Ask(Count(1, 9), 1);
  Ask(Count(500, 9), 1);
  RunUntilIdle();
  std::vector<TokenId> a = Count(1, 9), b = Count(500, 9);
  for (TokenId i = 0; i < 6; ++i) {
    std::vector<TokenId>& prompt = i % 2 == 0 ? a : b;
    prompt.back() = 90 + i;
    Ask(prompt, 9);
  }
  Step();
  const auto& plan = scheduler_->Plan();
  ASSERT_EQ(plan.size(), 6U);
  int changes = 0;
  for (size_t i = 1; i < plan.size(); ++i) {
    changes += plan[i].sequence->blocks[0] != plan[i - 1].sequence->blocks[0];
  }
  EXPECT_EQ(changes, 1);
  RunUntilIdle();
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, AShortPromptPassesALongOne) {
  MakePool(64);
  const SequenceId lengthy = Ask(Count(1, 80), 1);
  const SequenceId brief = Ask(Count(200, 4), 1);
  Step();
  EXPECT_TRUE(replies_.contains(brief));
  EXPECT_FALSE(replies_.contains(lengthy));
  RunUntilIdle();
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, AFillInTheBackgroundWaitsUntilNothingElseRuns) {
  MakePool(64);
  Ask(Count(1, 40), 3);
  const SequenceId fill =
      Ask(Count(300, 10), 0, "a", CacheUse::kReadAndPublish, Priority::kBackground);
  while (scheduler_->running() + scheduler_->waiting() > 1) {
    EXPECT_EQ(prompt_rows_[fill], 0U);
    Step();
  }
  RunUntilIdle();
  EXPECT_EQ(prompt_rows_[fill], 10U);
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, ABackgroundFillThatSomebodyWaitsForBecomesUrgent) {
  MakePool(64);
  Ask(Count(300, 30), 0, "a", CacheUse::kReadAndPublish, Priority::kBackground);
  Step();
  const SequenceId stream = Ask(Count(1, 3), 200);
  const SequenceId waiter = Ask(Count(300, 30), 1);
  for (int step = 0; step < 40; ++step) Step();
  EXPECT_TRUE(replies_.contains(waiter));
  EXPECT_FALSE(replies_.contains(stream));
  RunUntilIdle();
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, WhatDoesNotFitBesideOthersWaitsAndThenRuns) {
  MakePool(8);  // 32 tokens
  const SequenceId first = Ask(Count(1, 20), 6);
  const SequenceId second = Ask(Count(100, 20), 6);
  Step();
  EXPECT_EQ(scheduler_->running(), 1U);
  RunUntilIdle();
  EXPECT_EQ(replies_[first].size(), 6U);
  EXPECT_EQ(replies_[second].size(), 6U);
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, RepliesThatOutgrowThePoolAreSetAsideAndComeOutTheSame) {
  MakePool(64);
  std::vector<SequenceId> roomy, tight;
  for (TokenId i = 0; i < 3; ++i) roomy.push_back(Ask(Count(100 * i, 6), 20));
  RunUntilIdle();
  EXPECT_EQ(scheduler_->preempted(), 0U);
  MakePool(9);  // 36 tokens; three sequences want 26 each
  for (TokenId i = 0; i < 3; ++i) tight.push_back(Ask(Count(100 * i, 6), 20));
  while (scheduler_->preempted() == 0) Step();
  EXPECT_EQ(scheduler_->CostAhead(), 0) << "prompts of those set aside were left in the cache";
  RunUntilIdle();
  for (size_t i = 0; i < tight.size(); ++i) EXPECT_EQ(replies_[tight[i]], replies_[roomy[i]]);
  ExpectNothingHeld();
}

TEST_F(SchedulerTest, GuessesTakeNoBlockFromAnybody) {
  std::vector<TokenId> plain;
  for (const bool speculate : {false, true}) {
    MakePool(9, {.prefill_chunk = 8, .prefill_chunk_beside_decode = 8, .speculate = speculate});
    Ask(Count(100, 6), 14);
    Ask(Count(300, 6), 8);
    RunUntilIdle();
    const size_t evicted = cache_->counters().evicted_blocks;
    EXPECT_EQ(cache_->sizes().free_blocks, 0U) << "what is cached fills the pool";
    const SequenceId again = Ask(Count(100, 6), 14);
    RunUntilIdle();
    EXPECT_EQ(cache_->counters().evicted_blocks, evicted + 1) << speculate;
    if (!speculate) plain = replies_[again];
    EXPECT_EQ(replies_[again], plain);
    EXPECT_EQ(accepted_ > 4, speculate);
    EXPECT_EQ(scheduler_->preempted(), 0U);
  }
}

// Any mixture of requests, cancellations, expiry and flushes, at pool sizes from one request up.
TEST_F(SchedulerTest, RandomLoadsMakeProgressReadTheirOwnRowsAndLeaveNothingHeld) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto upto = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int round = 0; round < 60; ++round) {
    const size_t blocks = 6 + upto(round % 2 == 0 ? 3 : 40);
    const bool speculate = upto(3) > 0;
    MakePool(blocks, {.prefill_chunk = 1 + upto(12),
                      .prefill_chunk_beside_decode = speculate ? 1 + upto(12) : 1,
                      .speculate = speculate});
    std::vector<SequenceId> asked;
    for (int event = 0; event < 120; ++event) {
      const size_t kind = upto(20);
      if (kind < 6) {
        std::vector<TokenId> prompt(1 + upto(16));
        for (TokenId& token : prompt) token = static_cast<TokenId>(upto(8) == 0);
        const size_t room = blocks * kBlockTokens - prompt.size();
        const int reply = static_cast<int>(upto(std::min<size_t>(room + 1, 9)));
        asked.push_back(Ask(prompt, reply, upto(5) == 0 ? "b" : "a",
                            upto(8) == 0 ? CacheUse::kNone : CacheUse::kReadAndPublish,
                            reply == 0 ? Priority::kBackground : Priority::kNormal));
      } else if (kind == 6 && !asked.empty()) {
        scheduler_->Remove(asked[upto(asked.size())]);
      } else if (kind == 7) {
        cache_->Flush();
      } else if (kind == 8) {
        clock_.Advance(std::chrono::minutes(upto(9)));
        cache_->Expire();
      } else {
        Step();
      }
      if (HasFatalFailure()) return;
    }
    RunUntilIdle();
    if (HasFatalFailure()) return;
    ExpectNothingHeld();
  }
  EXPECT_GT(accepted_, 100U);
}

TEST_F(SchedulerTest, WhatReadingSparesIsThePriceOfComputingAttentionIncluded) {
  MakePool(200, {.prefill_chunk = 200, .prefill_chunk_beside_decode = 200, .cost_per_key = 0.05});
  EXPECT_EQ(scheduler_->SecondsToCompute(400), 0) << "no step has shown how fast it goes";
  Ask(Count(1, 400), 1);
  // Two steps of 200 rows on a machine that takes 1 ms for a row and 50 us more for each key.
  for (const double rows_and_keys : {200 + 0.05 * 20'100, 200 + 0.05 * 60'100}) {
    Step();
    scheduler_->Observe(std::chrono::nanoseconds(std::llround(1e6 * rows_and_keys)));
  }
  EXPECT_NEAR(scheduler_->SecondsToCompute(400), 0.4 + 0.05e-3 * 80'200, 1e-6);
  EXPECT_NEAR(scheduler_->SecondsToCompute(200), 0.2 + 0.05e-3 * 20'100, 1e-6);
  EXPECT_EQ(scheduler_->SecondsToCompute(0), 0);
  RunUntilIdle();
}

TEST_F(SchedulerTest, AheadLiesWhatIsNotComputedAndNotExpectedToBeRead) {
  MakePool(40, {.prefill_chunk = 8, .prefill_chunk_beside_decode = 8});
  EXPECT_EQ(scheduler_->CostAhead(), 0);
  Ask(Count(1, 20), 0);
  EXPECT_EQ(scheduler_->CostAhead(), 20) << "it waits";
  Step();
  EXPECT_EQ(scheduler_->CostAhead(), 12) << "it runs";
  RunUntilIdle();
  EXPECT_EQ(scheduler_->CostAhead(), 0);
  Ask(Count(1, 30), 0, "a", CacheUse::kNone);
  EXPECT_EQ(scheduler_->CostAhead(), 30) << "one that reads nothing";
  Ask(Count(1, 30), 0);
  EXPECT_EQ(scheduler_->CostAhead(), 40) << "20 are cached";
  // Who waits for another's prompt adds only what is not in that.
  Ask(Count(1, 34), 0);
  Step();
  Step();
  EXPECT_EQ(scheduler_->CostAhead(), 14 + 10 + 4);
  RunUntilIdle();
  EXPECT_EQ(scheduler_->CostAhead(), 0);
}

}  // namespace
}  // namespace reprise

// The whole engine on a tiny random model: replies, marks, cancellation, refusals. That a hit
// changes no bit is tested in engine_exactness_test.cc.

#include "engine/engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache/scope.h"
#include "engine_fixture.h"

namespace reprise {
namespace {

TEST_F(EngineTest, AMarkedPromptIsReadWithTheSameLogitsUntilItsTimeIsUp) {
  Start({.blocks = 40, .context = 512, .clock = &manual_clock_});
  auto request = Request(Prompt(200), 8);
  const uint64_t cold = ColdChecksum(request);
  Flush();
  request.breakpoints = {{70, 5min}, {190, 1h}};
  const auto first = AskAndWait(request);
  const std::vector<BreakpointOutcome> outcomes = {{70, 5min, PinDecision::kAccepted},
                                                   {190, 1h, PinDecision::kAccepted}};
  EXPECT_EQ(first->started.breakpoints, outcomes);
  EXPECT_EQ(first->finished.breakpoints, outcomes);
  EXPECT_EQ(first->finished.logits_checksum, cold);
  for (int round = 0; round < 3; ++round) {
    for (TokenId i = 1; i < 8; ++i) AskAndWait(Request(Prompt(300, i), 2));
    Pass(59min, 1);  // the short one goes
    const auto warm = AskAndWait(request);
    EXPECT_GE(warm->started.cached_tokens, 190);
    EXPECT_EQ(warm->finished.logits_checksum, cold);
  }
  Pass(1h, 0);
  EXPECT_EQ(engine_->stats().cache.cached_blocks, 0U) << "at once, not when the next request comes";
  EXPECT_EQ(AskAndWait(request)->finished.logits_checksum, cold);
}

TEST_F(EngineTest, PromisesNeverTakeWhatTheLongestRequestNeeds) {
  Start({.blocks = 20, .context = 512});
  EXPECT_EQ(engine_->stats().cache.pin_capacity_blocks, 20U - 512U / 32U) << "less than the half";
  Start({.blocks = 40, .context = 512});
  EXPECT_EQ(engine_->stats().cache.pin_capacity_blocks, 20U);
  Start({.blocks = 40, .context = 512, .pin_blocks = 3});
  EXPECT_EQ(engine_->stats().cache.pin_capacity_blocks, 3U);
  Start({.blocks = 20, .context = 512, .pin_blocks = 20});
  for (TokenId i = 0; i < 4; ++i) {
    auto request = Request(Prompt(64, i), 2);
    request.breakpoints = {{64, 1h}};
    EXPECT_EQ(AskAndWait(request)->started.breakpoints[0].accepted(), i < 2);
  }
  const auto longest = AskAndWait(Request(Prompt(400, 9), 112));
  EXPECT_EQ(longest->finished.completion_tokens, 112);
  EXPECT_EQ(engine_->stats().cache.pinned_blocks, 4U);
}

TEST_F(EngineTest, TheSnapshotCountsEachTenantsRequestsAndBlocks) {
  Start({.context = 512, .pin_blocks_per_tenant = 3});
  const auto ask = [this](const std::string& scope, TokenId salt) {
    auto request = Request(Prompt(64, salt), 2);
    request.scope = scope;
    request.breakpoints = {{64, 1h}};
    return AskAndWait(request)->started.breakpoints[0].decision;
  };
  EXPECT_EQ(ask(ScopeOf("a/a", "one"), 0), PinDecision::kAccepted);
  EXPECT_EQ(ask(ScopeOf("a/a", "two"), 0), PinDecision::kTenantFull);
  EXPECT_EQ(ask("b/b", 0), PinDecision::kAccepted);
  EXPECT_EQ(ask("b/b", 0), PinDecision::kAccepted) << "it is promised already";
  std::promise<EngineSnapshot> taken;
  engine_->TakeSnapshot([&](EngineSnapshot snapshot) { taken.set_value(std::move(snapshot)); });
  const EngineSnapshot snapshot = taken.get_future().get();
  ASSERT_EQ(snapshot.tenants.size(), 2U);
  const TenantStats& a = snapshot.tenants[0];
  const TenantStats& b = snapshot.tenants[1];
  EXPECT_EQ(a.cache.tenant, "a/a");
  EXPECT_EQ(a.cache.scopes, 2U);
  EXPECT_EQ(a.cache.pinned_blocks, 2U);
  EXPECT_EQ(std::pair(a.requests, a.hits), std::pair(uint64_t{2}, uint64_t{0}));
  EXPECT_EQ(std::pair(b.requests, b.hits), std::pair(uint64_t{2}, uint64_t{1}));
  EXPECT_EQ(std::pair(b.prompt_tokens, b.cached_tokens), std::pair(uint64_t{128}, uint64_t{64}));
  EXPECT_EQ(snapshot.total.hits, 1U);
  EXPECT_EQ(snapshot.total.cache.tenants, 2U);
  EXPECT_EQ(snapshot.total.cache.pin_capacity_per_tenant_blocks, 3U);
  EXPECT_EQ(a.cache.cached_tokens + b.cache.cached_tokens, snapshot.total.cache.cached_tokens);
}

// The engine's answer to a question about its tree.
template <typename T>
T Told(const std::function<void(std::function<void(T)>)>& ask) {
  std::promise<T> promise;
  ask([&](T answer) { promise.set_value(std::move(answer)); });
  return promise.get_future().get();
}

TEST_F(EngineTest, TheTreeIsDescribedKeptAndLetGoBetweenSteps) {
  Start({.context = 512});
  const auto view = [this] {
    return Told<TreeView>([this](auto done) { engine_->DescribeTree({{}, 100}, done); });
  };
  const auto prompt = Prompt(100);
  const auto cold = AskAndWait(Request(prompt, 4));
  AskAndWait(Request(prompt, 4));
  const TreeView before = view();
  ASSERT_EQ(before.chains.size(), 1U);
  const TreeChain& chain = before.chains[0];
  EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), chain.tokens.begin()));
  EXPECT_EQ(before.tokens, engine_->stats().cache.cached_tokens);
  EXPECT_EQ(chain.reads, 1U);
  EXPECT_EQ(chain.leases, 0U);

  const auto kept = Told<std::optional<TreeKeep>>(
      [&](auto done) { engine_->KeepTreeNode(chain.nodes[1], 1h, done); });
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->tokens, 64U);
  EXPECT_EQ(engine_->stats().cache.pinned_blocks, 2U);

  const auto drop = [&] {
    return Told<std::optional<TreeDrop>>(
        [&](auto done) { engine_->DropTreeNode(chain.nodes[1], done); });
  };
  EXPECT_EQ(drop()->freed_blocks, chain.nodes.size() - 1);
  EXPECT_FALSE(drop()) << "it is gone";
  EXPECT_EQ(view().tokens, 32U);
  EXPECT_EQ(engine_->stats().cache.promises, 0U);
  const auto again = AskAndWait(Request(prompt, 4));
  EXPECT_EQ(again->started.cached_tokens, 32);
  EXPECT_EQ(again->text, cold->text);
}

TEST_F(EngineTest, SamplingIsNoPartOfTheKey) {
  Start();
  const auto prompt = Prompt(70);
  AskAndWait(Request(prompt, 4));
  std::vector<SamplingParameters> variants(9);
  variants[0].temperature = 1.5F;
  variants[1].top_p = 0.5F;
  variants[2].top_k = 3;
  variants[3].min_p = 0.1F;
  variants[4].presence_penalty = 1;
  variants[5].frequency_penalty = 1;
  variants[6].repetition_penalty = 1.2F;
  variants[7].seed = 99;
  variants[8].logit_bias = {{7, 5.0F}};
  for (const SamplingParameters& sampling : variants) {
    auto request = Request(prompt, 4);
    request.sampling = sampling;
    EXPECT_EQ(AskAndWait(request)->started.cached_tokens, 70);
  }
}

TEST_F(EngineTest, SeedsRepeatAndDiffer) {
  Start();
  auto request = Request(Prompt(30), 12);
  request.sampling.temperature = 1;
  request.sampling.seed = 1;
  const auto first = AskAndWait(request)->finished.reply;
  EXPECT_EQ(AskAndWait(request)->finished.reply, first);
  request.sampling.seed = 2;
  EXPECT_NE(AskAndWait(request)->finished.reply, first);
}

TEST_F(EngineTest, ReportsEachTokensLogProbabilities) {
  Start();
  auto request = Request(Prompt(30), 6);
  request.top_logprobs = 3;
  const auto reply = AskAndWait(request);
  ASSERT_EQ(reply->infos.size(), 6U);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(reply->infos[i].chosen.token, reply->finished.reply[i]);
    ASSERT_EQ(reply->infos[i].top.size(), 3U);
    EXPECT_EQ(reply->infos[i].top[0].token, reply->finished.reply[i]) << "greedy takes the best";
  }
}

TEST_F(EngineTest, EndsBeforeAStopString) {
  Start();
  const auto whole = AskAndWait(Request(Prompt(30), 30));
  ASSERT_GT(whole->text.size(), 6U);
  auto request = Request(Prompt(30), 30);
  request.stop = {whole->text.substr(3, 2)};
  const auto cut = AskAndWait(request);
  EXPECT_EQ(cut->text, whole->text.substr(0, whole->text.find(request.stop[0])));
  EXPECT_EQ(cut->finished.reason, FinishReason::kStopString);
  EXPECT_EQ(cut->finished.stop_string, request.stop[0]);
}

TEST_F(EngineTest, RefusesWhatCanNeverRunAndSaysWhy) {
  Start({.blocks = 4});
  auto too_long = AskAndWait(Request(Prompt(128), 1));
  ASSERT_TRUE(too_long->failed);
  EXPECT_EQ(too_long->failed->code, ErrorCode::kContextLengthExceeded);
  EXPECT_FALSE(AskAndWait(Request(Prompt(127), 1))->failed) << "the longest that fits";
  EXPECT_EQ(AskAndWait(Request({}, 1))->failed->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(AskAndWait(Request({512}, 1))->failed->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(AskAndWait(Request({-1}, 1))->failed->code, ErrorCode::kInvalidArgument);
  const std::vector<std::vector<Breakpoint>> bad = {
      {{0, 5min}}, {{11, 5min}}, {{5, 5min}, {4, 5min}}, {{5, 0min}}, {{5, -5min}}};
  for (const auto& breakpoints : bad) {
    auto request = Request(Prompt(10), 1);
    request.breakpoints = breakpoints;
    const auto reply = AskAndWait(request);
    ASSERT_TRUE(reply->failed);
    EXPECT_EQ(reply->failed->code, ErrorCode::kInvalidArgument);
  }
}

TEST_F(EngineTest, EndsAReplyAtTheContextsEnd) {
  Start({.context = 48});
  const auto reply = AskAndWait(Request(Prompt(40), 1000));
  EXPECT_EQ(reply->finished.completion_tokens, 8);
  EXPECT_EQ(reply->finished.reason, FinishReason::kLength);
}

TEST_F(EngineTest, ACancelledRequestEndsAndLeavesItsPromptCached) {
  Start();
  SequenceId id;
  auto reply = Ask(Request(Prompt(100), 900), &id);
  reply->WaitForText();
  engine_->Cancel(id);
  reply->Wait();
  ASSERT_TRUE(reply->failed);
  EXPECT_EQ(reply->failed->code, ErrorCode::kCancelled);
  EXPECT_EQ(AskAndWait(Request(Prompt(100), 1))->started.cached_tokens, 100);
  EXPECT_EQ(engine_->stats().cancelled, 1U);
}

TEST_F(EngineTest, HoldsNoBlockWhenIdle) {
  Start();
  for (TokenId i = 0; i < 5; ++i) AskAndWait(Request(Prompt(60, i), 5));
  Flush();
  const PrefixCache::Sizes sizes = engine_->stats().cache;
  EXPECT_EQ(sizes.private_blocks, 0U);
  EXPECT_EQ(sizes.free_blocks, sizes.total_blocks);
}

TEST_F(EngineTest, StopsWithRequestsRunning) {
  Start();
  auto reply = Ask(Request(Prompt(100), 1500));
  reply->WaitForText();
  engine_.reset();
  reply->Wait();
  ASSERT_TRUE(reply->failed);
  EXPECT_EQ(reply->failed->code, ErrorCode::kCancelled);
}

// ---- why a prompt is not read ------------------------------------------------------------------

TEST_F(EngineTest, AFirstLookupHasLostNothing) {
  Start();
  EXPECT_FALSE(AskAndWait(Request(Prompt(100), 1))->started.lost);
  EXPECT_FALSE(AskAndWait(Request(Prompt(100), 1))->started.lost) << "a hit";
}

TEST_F(EngineTest, AFlushedPromptSaysSo) {
  Start({.clock = &manual_clock_});
  AskAndWait(Request(Prompt(100), 1));
  Flush();
  manual_clock_.Advance(7s);
  EXPECT_EQ(AskAndWait(Request(Prompt(100), 1))->started.lost,
            (CacheLoss{LossCause::kFlushed, 7s, {}}));
}

TEST_F(EngineTest, AnExpiredPromptSaysWhen) {
  Start({.clock = &manual_clock_});
  AskAndWait(Request(Prompt(100), 1));
  manual_clock_.Advance(10min);
  AskAndWait(Request(Prompt(40, 1), 1));  // the engine has looked at its clock before that
  manual_clock_.Advance(90s);
  const auto again = AskAndWait(Request(Prompt(100), 1));
  EXPECT_EQ(again->started.lost, (CacheLoss{LossCause::kExpired, 90s, {}}));
  EXPECT_EQ(again->started.cached_tokens, 0);
}

TEST_F(EngineTest, AnEvictedPromptSaysForWhom) {
  Start({.blocks = 8, .pin_blocks = 0});
  AskAndWait(Request(Prompt(100), 1));
  SequenceId second;
  Ask(Request(Prompt(200, 1), 1), &second)->Wait();
  const auto again = AskAndWait(Request(Prompt(100), 1));
  ASSERT_TRUE(again->started.lost);
  EXPECT_EQ(again->started.lost->cause, LossCause::kEvicted);
  EXPECT_EQ(again->started.lost->for_whom, second);
  EXPECT_LT(again->started.cached_tokens, 99);
}

TEST_F(EngineTest, SaysWhatReadingSparedAsSoonAsItHasComputed) {
  Start();
  EXPECT_EQ(AskAndWait(Request(Prompt(300), 1))->started.saved_seconds, 0);
  const StartedEvent again = AskAndWait(Request(Prompt(300), 1))->started;
  EXPECT_GT(again.cached_tokens, 200);
  EXPECT_GT(again.saved_seconds, 0);
  EXPECT_EQ(AskAndWait(Request(Prompt(300, 7), 1))->started.saved_seconds, 0) << "it read nothing";
}

}  // namespace
}  // namespace reprise

// Replies that something else than the model has a say in: masks, and tokens without a choice,
// which are computed as one chunk. Whatever the company and the chunks, the logits are the same.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/limits.h"
#include "engine_fixture.h"

namespace reprise {
namespace {

// Stretches of a reply: tokens that are forced, or one of a few.
struct Stretch {
  std::vector<TokenId> forced = {};
  std::set<TokenId> allowed = {};
};

class PlayedConstraint final : public TokenConstraint {
 public:
  PlayedConstraint(std::vector<Stretch> stretches, bool forces)
      : stretches_(std::move(stretches)), forces_(forces) {}

  std::vector<TokenId> TakeForced() override {
    if (!forces_ || complete() || stretches_[next_].forced.empty()) return {};
    std::vector<TokenId> rest(stretches_[next_].forced.begin() + static_cast<std::ptrdiff_t>(at_),
                              stretches_[next_].forced.end());
    ++next_;
    at_ = 0;
    return rest;
  }
  Result<std::span<const uint32_t>> Mask() override {
    if (complete()) return Fail(ErrorCode::kUnsupported, "nothing may follow");
    mask_.assign(1000, 0);
    const auto allow = [&](TokenId token) {
      mask_[static_cast<size_t>(token) / 32] |= 1U << (static_cast<size_t>(token) % 32);
    };
    const Stretch& stretch = stretches_[next_];
    if (!stretch.forced.empty()) allow(stretch.forced[at_]);
    for (const TokenId token : stretch.allowed) allow(token);
    return std::span<const uint32_t>(mask_);
  }
  Status Accept(TokenId token) override {
    const Stretch& stretch = stretches_[next_];
    if (stretch.forced.empty()) {
      EXPECT_TRUE(stretch.allowed.contains(token));
      ++next_;
    } else {
      EXPECT_EQ(stretch.forced[at_], token);
      if (++at_ == stretch.forced.size()) {
        at_ = 0;
        ++next_;
      }
    }
    return {};
  }
  bool complete() const override { return next_ == stretches_.size(); }

 private:
  std::vector<Stretch> stretches_;
  const bool forces_;
  size_t next_ = 0;
  size_t at_ = 0;
  std::vector<uint32_t> mask_;
};

class EngineConstraintTest : public EngineTest {
 protected:
  static std::vector<TokenId> Tokens(size_t count, TokenId salt) { return Prompt(count, salt); }

  // Some forced, a choice, more than one chunk of forced ones, choices.
  static std::vector<Stretch> Plan() {
    return {{Tokens(9, 5)}, {{}, {7, 8, 9}},    {Tokens(limits::kMaxForcedRows + 70, 6)},
            {{}, {20, 21}}, {{}, {30, 31, 32}}, {Tokens(3, 7)}};
  }
  static GenerationRequest Constrained(std::vector<TokenId> prompt, bool forces = true) {
    GenerationRequest request = Request(std::move(prompt), 1000);
    request.sampling.temperature = 1;
    request.sampling.seed = 11;
    request.constraint = std::make_shared<PlayedConstraint>(Plan(), forces);
    return request;
  }
  static constexpr size_t kPlanTokens = 9 + 1 + limits::kMaxForcedRows + 70 + 2 + 3;
};

TEST_F(EngineConstraintTest, AReplyFollowsIt) {
  Start();
  const auto reply = AskAndWait(Constrained(Prompt(40)));
  ASSERT_FALSE(reply->failed) << reply->failed->message;
  const std::vector<TokenId>& tokens = reply->finished.reply;
  ASSERT_EQ(tokens.size(), kPlanTokens);
  EXPECT_EQ(reply->finished.completion_tokens, static_cast<int>(kPlanTokens));
  EXPECT_EQ(reply->finished.reason, FinishReason::kStop);
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.begin() + 9, Tokens(9, 5).begin()));
  EXPECT_TRUE(tokens[9] >= 7 && tokens[9] <= 9);
  // The prompt, and a step or two for each choice.
  EXPECT_LE(engine_->stats().steps, 8U);
}

TEST_F(EngineConstraintTest, ForcedTokensAreThoseThatWouldHaveBeenSampled) {
  Start();
  const auto forced = AskAndWait(Constrained(Prompt(40)));
  Flush();
  const auto sampled = AskAndWait(Constrained(Prompt(40), /*forces=*/false));
  EXPECT_EQ(sampled->finished.reply.size(), forced->finished.reply.size());
  // What was computed in chunks is what one token after the other gives: a prompt that goes on from
  // it has the same logits.
  std::vector<TokenId> next = Prompt(40);
  next.insert(next.end(), forced->finished.reply.begin(), forced->finished.reply.end());
  next.push_back(5);
  const auto request = Request(next, 4);
  const uint64_t cold = ColdChecksum(request);
  Flush();
  AskAndWait(Constrained(Prompt(40)));
  const auto warm = AskAndWait(request);
  // All but what was forced at the very end, whose K and V the reply did not need.
  EXPECT_GE(warm->started.cached_tokens, static_cast<int>(next.size()) - 2 - 3);
  EXPECT_EQ(warm->finished.logits_checksum, cold);
}

TEST_F(EngineConstraintTest, NeitherChunksNorCompanyNorHitsChangeALogit) {
  Start();
  const auto alone = AskAndWait(Constrained(Prompt(100)));
  for (const int chunk : {1, 7, 512}) {
    Start({.chunk = chunk, .chunk_beside = std::min(chunk, 16)});
    std::vector<std::shared_ptr<Reply>> others;
    for (TokenId i = 0; i < 5; ++i) others.push_back(Ask(Request(Prompt(150, 20 + i), 60)));
    const auto beside = AskAndWait(Constrained(Prompt(100)));
    EXPECT_EQ(beside->finished.reply, alone->finished.reply);
    EXPECT_EQ(beside->finished.logits_checksum, alone->finished.logits_checksum) << chunk;
    for (const auto& other : others) other->Wait();
    const auto warm = AskAndWait(Constrained(Prompt(100)));
    EXPECT_EQ(warm->started.cached_tokens, 100);
    EXPECT_EQ(warm->finished.logits_checksum, alone->finished.logits_checksum);
  }
}

TEST_F(EngineConstraintTest, WhoIsSetAsideGoesOnWhereItWas) {
  Start();
  const auto alone = AskAndWait(Constrained(Prompt(60)));
  Start({.blocks = 12});
  std::vector<std::shared_ptr<Reply>> all;
  for (int i = 0; i < 3; ++i) all.push_back(Ask(Constrained(Prompt(60))));
  for (TokenId i = 0; i < 2; ++i) all.push_back(Ask(Request(Prompt(60, 30 + i), 200)));
  for (const auto& reply : all) reply->Wait();
  EXPECT_GT(engine_->stats().preempted, 0U);
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(all[static_cast<size_t>(i)]->failed);
    EXPECT_EQ(all[static_cast<size_t>(i)]->finished.reply, alone->finished.reply);
    EXPECT_EQ(all[static_cast<size_t>(i)]->finished.logits_checksum,
              alone->finished.logits_checksum);
  }
}

TEST_F(EngineConstraintTest, LogProbabilitiesComeForEveryTokenAndChangeNone) {
  Start();
  const auto plain = AskAndWait(Constrained(Prompt(40)));
  auto request = Constrained(Prompt(40));
  request.top_logprobs = 0;
  const auto shown = AskAndWait(request);
  EXPECT_EQ(shown->finished.reply, plain->finished.reply);
  EXPECT_EQ(shown->infos.size(), kPlanTokens);
}

TEST_F(EngineConstraintTest, TheLimitCutsForcedTokensToo) {
  Start();
  auto request = Constrained(Prompt(40));
  request.max_tokens = 5;
  const auto reply = AskAndWait(request);
  EXPECT_EQ(reply->finished.reply.size(), 5U);
  EXPECT_EQ(reply->finished.reason, FinishReason::kLength);
}

TEST_F(EngineConstraintTest, ForcedTokensCountForPenaltiesToo) {
  Start();
  for (const int top_logprobs : {-1, 0}) {
    for (const TokenId said : {20, 21}) {
      auto request = Request(Prompt(40), 1000);
      request.sampling.frequency_penalty = 2;
      request.top_logprobs = top_logprobs;
      request.constraint = std::make_shared<PlayedConstraint>(
          std::vector<Stretch>{{std::vector<TokenId>(60, said)}, {{}, {20, 21}}}, true);
      EXPECT_EQ(AskAndWait(request)->finished.reply.back(), 41 - said);
    }
  }
}

TEST_F(EngineConstraintTest, WhatCannotBeSaidFailsTheRequestAlone) {
  class Broken final : public TokenConstraint {
    std::vector<TokenId> TakeForced() override { return {}; }
    Result<std::span<const uint32_t>> Mask() override {
      return Fail(ErrorCode::kUnsupported, "too complex");
    }
    Status Accept(TokenId) override { return {}; }
    bool complete() const override { return false; }
  };
  Start();
  auto request = Request(Prompt(40), 5);
  request.constraint = std::make_shared<Broken>();
  const auto failed = AskAndWait(request);
  ASSERT_TRUE(failed->failed);
  EXPECT_EQ(failed->failed->message, "too complex");
  EXPECT_FALSE(AskAndWait(Request(Prompt(40), 5))->failed);
}

TEST_F(EngineConstraintTest, ControlTokensThatAreShownAreText) {
  Start();
  auto request = Request(Prompt(20), 100);
  request.constraint = std::make_shared<PlayedConstraint>(std::vector<Stretch>{{{1, 50, 2}}}, true);
  const std::string hidden = AskAndWait(request)->text;
  request.constraint = std::make_shared<PlayedConstraint>(std::vector<Stretch>{{{1, 50, 2}}}, true);
  request.shown_control = {1};
  const std::string shown = AskAndWait(request)->text;
  EXPECT_GT(shown.size(), hidden.size());
  EXPECT_TRUE(shown.ends_with(hidden));
}

}  // namespace
}  // namespace reprise

// Where guesses come from: the tree of the request's own scope, its text, beside a grammar; and
// that they are counted. That they change nothing is in engine_speculation_test.cc.

#include <gtest/gtest.h>

#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine_fixture.h"

namespace reprise {
namespace {

constexpr auto kTree = static_cast<size_t>(GuessSource::kTree);
constexpr auto kNgram = static_cast<size_t>(GuessSource::kNgram);

class EngineGuessSourceTest : public EngineTest {
 protected:
  void StartAgain(bool speculate, Variant setup = {}) {
    setup.speculate = speculate;
    setup.clock = &manual_clock_;
    Start(setup);
  }
  // At 1.5 a reply hardly repeats itself; at 0.5 several begin alike.
  static GenerationRequest Sampled(size_t length, int max_tokens, uint64_t seed,
                                   float temperature = 1.5F) {
    auto request = Request(Prompt(length), max_tokens);
    request.sampling.temperature = temperature;
    request.sampling.seed = seed;
    return request;
  }
};

TEST_F(EngineGuessSourceTest, TheSameAgainIsReadFromTheTree) {
  for (const size_t length : {10U, 32U, 70U, 95U}) {
    StartAgain(true);
    const auto request = Sampled(length, 120, 3);
    const auto first = AskAndWait(request);
    ASSERT_EQ(SettledStats().accepted_guesses[kTree], 0U);
    const uint64_t before = SettledStats().steps;
    const auto again = AskAndWait(request);
    EXPECT_EQ(again->finished.reply, first->finished.reply);
    EXPECT_EQ(again->finished.logits_checksum, first->finished.logits_checksum);
    const EngineStats stats = SettledStats();
    EXPECT_LT(stats.steps - before, 15U) << length;
    EXPECT_GT(stats.accepted_guesses[kTree], 100U);
    EXPECT_EQ(stats.rejected_guesses[kTree], 0U);
    EXPECT_EQ(again->finished.accepted_prediction_tokens, 0) << "nothing was predicted";
  }
}

TEST_F(EngineGuessSourceTest, AnotherDrawLeavesTheTreesReplyAndStaysItself) {
  StartAgain(false);
  std::vector<std::shared_ptr<Reply>> plain;
  for (uint64_t seed = 0; seed < 6; ++seed)
    plain.push_back(AskAndWait(Sampled(70, 60, seed, 0.5F)));
  StartAgain(true);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const auto reply = AskAndWait(Sampled(70, 60, seed, 0.5F));
      EXPECT_EQ(reply->finished.reply, plain[seed]->finished.reply);
      EXPECT_EQ(reply->finished.logits_checksum, plain[seed]->finished.logits_checksum);
    }
  }
  EXPECT_GT(SettledStats().rejected_guesses[kTree], 0U);
  EXPECT_GT(SettledStats().accepted_guesses[kTree], 200U) << "in the second round";
}

TEST_F(EngineGuessSourceTest, NothingIsGuessedFromAnotherScope) {
  StartAgain(true);
  auto request = Sampled(70, 60, 3);
  request.scope = "one";
  AskAndWait(request);
  request.scope = "another";
  AskAndWait(request);
  EXPECT_EQ(SettledStats().accepted_guesses[kTree], 0U);
  EXPECT_EQ(SettledStats().rejected_guesses[kTree], 0U);
  request.cache = CacheUse::kNone;
  AskAndWait(request);
  EXPECT_EQ(SettledStats().accepted_guesses[kTree], 0U) << "nor for who reads nothing";
  request.cache = CacheUse::kReadAndPublish;
  AskAndWait(request);
  EXPECT_GT(SettledStats().accepted_guesses[kTree], 0U);
}

TEST_F(EngineGuessSourceTest, AReplyThatRepeatsItselfIsGuessedFromItself) {
  auto request = Request(Prompt(40), 200);
  request.sampling.logit_bias = {{7, 1000.0F}};  // says one thing only
  StartAgain(false);
  const auto plain = AskAndWait(request);
  StartAgain(true);
  const auto reply = AskAndWait(request);
  EXPECT_EQ(reply->finished.reply, plain->finished.reply);
  EXPECT_EQ(reply->finished.logits_checksum, plain->finished.logits_checksum);
  const EngineStats stats = SettledStats();
  EXPECT_GT(stats.accepted_guesses[kNgram], 150U);
  EXPECT_EQ(stats.rejected_guesses[kNgram], 0U);
  EXPECT_LT(stats.steps, 30U);
}

TEST_F(EngineGuessSourceTest, EveryGuessIsAcceptedOrRejected) {
  StartAgain(true);
  const auto sum = [](const PerGuessSource<uint64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  };
  uint64_t tokens = 0;
  for (int round = 0; round < 2; ++round) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      tokens += static_cast<uint64_t>(
          AskAndWait(Sampled(70, 60, seed, 0.5F))->finished.completion_tokens);
    }
  }
  const EngineStats stats = SettledStats();
  // A reply's first token comes from its prompt's logits; each further step of it brings one.
  EXPECT_EQ(stats.generated_tokens, tokens);
  EXPECT_EQ(sum(stats.accepted_guesses) + stats.steps + 7, tokens) << "one prompt was computed";
  EXPECT_GT(sum(stats.rejected_guesses), 0U);
}

// Allows one token of few, or many; forces some.
class Alternating final : public TokenConstraint {
 public:
  std::vector<TokenId> TakeForced() override {
    if (said_ % 8 != 3) return {};
    said_ += 3;
    return {40, 41, 42};
  }
  Result<std::span<const uint32_t>> Mask() override {
    mask_.assign(16, said_ % 3 == 0 ? ~uint32_t{0} : 0x00F0F000U);
    return std::span<const uint32_t>(mask_);
  }
  Status Accept(TokenId) override {
    ++said_;
    return {};
  }
  bool complete() const override { return said_ >= 90; }

 private:
  std::vector<uint32_t> mask_;
  size_t said_ = 0;
};

TEST_F(EngineGuessSourceTest, AGrammarsTokensAreTheSameWithGuesses) {
  for (const int top_logprobs : {-1, 2}) {
    for (const float temperature : {0.0F, 1.0F}) {
      const auto constrained = [&] {
        auto request = Request(Prompt(45), 200);
        request.sampling.temperature = temperature;
        request.top_logprobs = top_logprobs;
        request.constraint = std::make_shared<Alternating>();
        return request;
      };
      StartAgain(false);
      const auto plain = AskAndWait(constrained());
      StartAgain(true);
      for (int round = 0; round < 3; ++round) {
        auto request = constrained();
        request.prediction = plain->finished.reply;
        if (round == 1) request.prediction[20] ^= 1;
        if (round == 2) request.cache = CacheUse::kNone;
        const auto reply = AskAndWait(std::move(request));
        EXPECT_EQ(reply->finished.reply, plain->finished.reply);
        EXPECT_EQ(reply->text, plain->text);
        EXPECT_EQ(reply->infos.size(), plain->infos.size());
        EXPECT_EQ(reply->finished.logits_checksum, plain->finished.logits_checksum);
        EXPECT_EQ(reply->finished.reason, plain->finished.reason);
      }
      const auto accepted = SettledStats().accepted_guesses;
      EXPECT_GT(std::accumulate(accepted.begin(), accepted.end(), uint64_t{0}), 100U);
    }
  }
}

TEST_F(EngineGuessSourceTest, APredictionHoldsTokensOfTheVocabularyOnly) {
  StartAgain(true);
  auto request = Request(Prompt(10), 4);
  request.prediction = {5, 512};
  const auto refused = AskAndWait(request);
  ASSERT_TRUE(refused->failed);
  EXPECT_EQ(refused->failed->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused->failed->param, "prediction");
}

TEST_F(EngineGuessSourceTest, AStreamIsCancelledInTheMidstOfGuesses) {
  StartAgain(true);
  auto request = Sampled(70, 900, 1);
  AskAndWait(request);
  SequenceId id;
  const auto reply = Ask(request, &id);
  reply->WaitForText();
  engine_->Cancel(id);
  reply->Wait();
  Flush();
  EXPECT_EQ(SettledStats().cache.private_blocks, 0U);
}

}  // namespace
}  // namespace reprise

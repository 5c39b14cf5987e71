#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

namespace reprise {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<TokenId> Draws(const SamplingParameters& parameters, std::vector<float> logits,
                           int count) {
  Sampler sampler(parameters, {});
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(sampler.Sample(logits).value());
  return tokens;
}

std::set<TokenId> Support(const SamplingParameters& parameters, std::vector<float> logits) {
  const auto tokens = Draws(parameters, std::move(logits), 2000);
  return {tokens.begin(), tokens.end()};
}

TEST(Sampler, TakesTheHighestLogitAtTemperatureZero) {
  EXPECT_EQ(Draws({.temperature = 0}, {1, 3, 2}, 1).front(), 1);
}

TEST(Sampler, ChoosesOnlyWhatAMaskAllows) {
  std::vector<float> logits(70, 1.0F);
  logits[3] = 9;
  std::vector<uint32_t> mask = {1U << 5, 0, 1U << 1};  // 5 and 65
  for (const float temperature : {0.0F, 1.0F}) {
    Sampler sampler({.temperature = temperature, .seed = 4}, {});
    std::set<TokenId> seen;
    for (int i = 0; i < 50; ++i) seen.insert(sampler.Sample(logits, mask).value());
    EXPECT_EQ(seen, temperature == 0 ? std::set<TokenId>{5} : (std::set<TokenId>{5, 65}));
  }
  mask = {0, 0, 0};
  EXPECT_FALSE(Sampler({.temperature = 0}, {}).Sample(logits, mask).has_value());
  // Beyond the mask's words nothing is allowed.
  mask = {1U << 5};
  logits[65] = 20;
  EXPECT_EQ(Sampler({.temperature = 0}, {}).Sample(logits, mask), 5);
}

TEST(Sampler, TakesTheLowestIdAmongEqualLogits) {
  EXPECT_EQ(Draws({.temperature = 0}, {1, 3, 3, 3}, 1).front(), 1);
}

TEST(Sampler, DrawsInProportionToProbability) {
  // Probabilities 1/4 and 3/4; 4000 draws have a standard deviation of 27.
  const auto tokens = Draws({.seed = 7}, {0, std::log(3.0F)}, 4000);
  EXPECT_NEAR(static_cast<double>(std::ranges::count(tokens, 1)), 3000, 140);
}

TEST(Sampler, RepeatsItsDrawsWithTheSameSeedAndNotWithAnother) {
  const std::vector<float> flat(100, 0.0F);
  EXPECT_EQ(Draws({.seed = 5}, flat, 20), Draws({.seed = 5}, flat, 20));
  EXPECT_NE(Draws({.seed = 5}, flat, 20), Draws({.seed = 6}, flat, 20));
}

TEST(Sampler, TopKKeepsTheKHighest) {
  EXPECT_EQ(Support({.top_k = 2}, {0, 0.3F, 0.2F, 0.1F}), (std::set<TokenId>{1, 2}));
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits = {std::log(4.0F), std::log(2.0F), 0, 0};
  EXPECT_EQ(Support({.top_p = 0.4F}, logits), (std::set<TokenId>{0}));
  EXPECT_EQ(Support({.top_p = 0.6F}, logits), (std::set<TokenId>{0, 1}));
}

TEST(Sampler, MinPDropsWhatIsLessLikelyThanAShareOfTheBest) {
  const std::vector<float> logits = {std::log(8.0F), std::log(4.0F), 0};
  EXPECT_EQ(Support({.min_p = 0.4F}, logits), (std::set<TokenId>{0, 1}));
}

TEST(Sampler, LogitBiasCanForbidAndForce) {
  EXPECT_EQ(Support({.logit_bias = {{0, -100}, {2, -100}}}, {0, 0, 0}), (std::set<TokenId>{1}));
  EXPECT_EQ(Draws({.temperature = 0, .logit_bias = {{2, 100}}}, {5, 1, 0}, 1).front(), 2);
}

TEST(Sampler, FrequencyPenaltyCountsTheReply) {
  EXPECT_EQ(Draws({.temperature = 0, .frequency_penalty = 0.6F}, {1, 0}, 4),
            (std::vector<TokenId>{0, 0, 1, 0}));
}

TEST(Sampler, PresencePenaltyCountsATokenOnce) {
  EXPECT_EQ(Draws({.temperature = 0, .presence_penalty = 0.6F}, {1, 0.5F}, 4),
            (std::vector<TokenId>{0, 1, 0, 0}));
}

TEST(Sampler, RepetitionPenaltyLooksAtThePromptToo) {
  const std::vector<TokenId> prompt = {0};
  Sampler sampler({.temperature = 0, .repetition_penalty = 2}, prompt);
  EXPECT_EQ(sampler.Sample(std::vector<float>{1.5F, 1.0F}), 1);
}

TEST(Sampler, IgnoresLogitsThatAreNotNumbers) {
  EXPECT_EQ(Draws({.temperature = 0}, {kNan, 1, -kInfinity}, 1).front(), 1);
  EXPECT_EQ(Support({}, {kNan, 1, -kInfinity}), (std::set<TokenId>{1}));
}

TEST(Sampler, SaysSoWhenNothingCanBeDrawn) {
  for (float temperature : {0.0F, 1.0F}) {
    Sampler sampler({.temperature = temperature}, {});
    EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, -kInfinity}), std::nullopt);
  }
}

TEST(Logprobs, AreNormalisedAndSorted) {
  const TokenInfo info = Logprobs(std::vector<float>{0, std::log(2.0F), std::log(5.0F)}, 0, 2);
  EXPECT_NEAR(info.chosen.logprob, std::log(1.0 / 8), 1e-6);
  ASSERT_EQ(info.top.size(), 2U);
  EXPECT_EQ(info.top[0].token, 2);
  EXPECT_NEAR(info.top[0].logprob, std::log(5.0 / 8), 1e-6);
  EXPECT_EQ(info.top[1].token, 1);
}

}  // namespace
}  // namespace reprise

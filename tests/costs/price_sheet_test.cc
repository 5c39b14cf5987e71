// The embedded price sheets, and sums by them.

#include "costs/price_sheet.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(PriceSheet, ThePublishedOnesAreThere) {
  const PriceSheet* opus = FindSheet("Anthropic Opus 5.5");
  ASSERT_NE(opus, nullptr);
  EXPECT_EQ(opus->vendor, "Anthropic");
  EXPECT_EQ(opus->input, 4.0);
  EXPECT_EQ(opus->read, 0.2);
  EXPECT_EQ(opus->output, 20.0);
  EXPECT_EQ(opus->rules.minimum, 512u);
  EXPECT_EQ(opus->rules.marks, 4u);
  EXPECT_EQ(opus->rules.lookback, 20u);
  EXPECT_EQ(opus->rules.lifetimes,
            (std::vector<MarkLifetime>{{"5m", 300, 5.0}, {"1h", 3600, 8.0}}));
  const PriceSheet* before = FindSheet("OpenAI's rule for 4o (input = 1)");
  ASSERT_NE(before, nullptr);
  EXPECT_TRUE(before->is_rule);
  EXPECT_EQ(before->rules.automatic, AutomaticCaching::kPrefix);
  EXPECT_EQ(before->rules.step, 128u);
  EXPECT_EQ(before->rules.marks, 0u);
  EXPECT_EQ(FindSheet("Opus"), nullptr);
}

TEST(PriceSheet, TokensCostWhatIsBilledForThem) {
  // 1,000 tokens: 300 read, 100 written for 5 minutes, 200 for an hour, 400 plain.
  const PromptTokens tokens{.total = 1000, .read = 300, .written = {100, 200}};
  EXPECT_EQ(tokens.plain(), 400u);
  EXPECT_DOUBLE_EQ(CostOf(tokens, *FindSheet("Anthropic Opus 5.5")),
                   (400 * 4.0 + 300 * 0.2 + 100 * 5.0 + 200 * 8.0) / 1e6);
}

TEST(PriceSheet, RulesThatDifferInPricesOnlyCacheTheSame) {
  EXPECT_TRUE(
      SameCaching(FindSheet("Anthropic Opus 5.5")->rules, FindSheet("Anthropic Fable 5.1")->rules));
  EXPECT_FALSE(SameCaching(FindSheet("Anthropic Opus 5.5")->rules,
                           FindSheet("Anthropic Sonnet 5.5")->rules));
}

}  // namespace
}  // namespace reprise

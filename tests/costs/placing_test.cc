// The cheapest placing of marks, by prices of 1, 1.25 (5m), 2 (1h) and 0.1: sums by hand, in
// millionths.

#include "costs/placing.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "costs/cost_report.h"
#include "sent_prompts.h"

namespace reprise {
namespace {

using Kind = PartName::Kind;
using Marks = std::vector<SpotMark>;

std::vector<Placing> Cheapest(std::vector<SentPrompt> prompts) {
  return CheapestPlacings(TrafficOf(std::move(prompts)), {&UsualSheet()})[0];
}

// Three questions on a text of 2,000 tokens.
std::vector<SentPrompt> Questions(int64_t apart_ms) {
  std::vector<SentPrompt> prompts;
  for (int i = 0; i < 3; ++i) {
    prompts.push_back(Sent(i * apart_ms, {{Kind::kSystem, 2000, 1}, {Kind::kMessage, 100, 2 + i}}));
  }
  return prompts;
}

TEST(Placing, ATextThatIsAskedAboutIsMarkedForAsLongAsQuestionsAreApart) {
  const std::vector<Placing> soon = Cheapest(Questions(60'000));
  ASSERT_EQ(soon.size(), 1u);
  EXPECT_EQ(soon[0].marks, (Marks{{"system", k5m}}));
  EXPECT_EQ(soon[0].requests, 3u);
  EXPECT_DOUBLE_EQ(CostOf(soon[0].tokens, UsualSheet()), (2500 + 100 + 2 * (200 + 100)) / 1e6);
  const std::vector<Placing> later = Cheapest(Questions(600'000));
  EXPECT_EQ(later[0].marks, (Marks{{"system", k1h}}));
  EXPECT_DOUBLE_EQ(CostOf(later[0].tokens, UsualSheet()), (4000 + 100 + 2 * (200 + 100)) / 1e6);
}

TEST(Placing, WhatNobodyReadsAgainIsNotMarked) {
  for (const auto& prompts : {Questions(4'000'000), std::vector{Questions(0)[0]}}) {
    const std::vector<Placing> placings = Cheapest(prompts);
    ASSERT_EQ(placings.size(), 1u);
    EXPECT_TRUE(placings[0].marks.empty());
    EXPECT_EQ(placings[0].tokens.plain(), prompts.size() * 2100);
  }
}

TEST(Placing, AConversationIsMarkedBehindItsLastMessage) {
  std::vector<SentPart> parts = {{Kind::kSystem, 1100, 1}, {Kind::kMessage, 100, 2}};
  std::vector<SentPrompt> turns = {Sent(0, parts)};
  for (int turn = 1; turn < 3; ++turn) {
    parts.push_back({Kind::kMessage, 100, 1 + 2 * turn});
    parts.push_back({Kind::kMessage, 100, 2 + 2 * turn});
    turns.push_back(Sent(turn * 30'000, parts));
  }
  const std::vector<Placing> placings = Cheapest(turns);
  ASSERT_EQ(placings.size(), 1u);
  EXPECT_EQ(placings[0].marks, (Marks{{"messages[-1]", k5m}}));
  // Marked behind the first message alone, the later turns would make it 2,340.
  EXPECT_DOUBLE_EQ(CostOf(placings[0].tokens, UsualSheet()),
                   (1200 * 1.25 + (120 + 250) + (140 + 250)) / 1e6);
}

TEST(Placing, FamiliesHaveTheirOwnAndThoseOfEqualMarksAreOne) {
  std::vector<SentPrompt> prompts = Questions(60'000);
  for (int text = 50; text < 52; ++text) {
    for (int i = 0; i < 2; ++i) {
      prompts.push_back(Sent(i * 1000, {{Kind::kSystem, 1500, text}, {Kind::kMessage, 10, i}}));
    }
  }
  prompts.push_back(Sent(0, {{Kind::kSystem, 9000, 60}}));
  const std::vector<Placing> placings = Cheapest(prompts);
  ASSERT_EQ(placings.size(), 2u);
  EXPECT_EQ(placings[0].marks, (Marks{{"system", k5m}}));
  EXPECT_EQ(placings[0].requests, 7u);
  EXPECT_EQ(placings[1].requests, 1u);
  EXPECT_TRUE(placings[1].marks.empty());
}

// Random conversations over a few texts, at random times.
std::vector<SentPrompt> RandomPrompts(uint32_t seed) {
  std::mt19937 random(seed);
  const auto draw = [&](int below) {
    return static_cast<int>(random() % static_cast<unsigned>(below));
  };
  std::vector<SentPrompt> prompts;
  for (int i = 0; i < 30; ++i) {
    std::vector<SentPart> parts;
    if (draw(2) > 0) parts.push_back({Kind::kTool, 700, 90 + draw(2)});
    parts.push_back({Kind::kSystem, 900, 80 + draw(2)});
    for (int turn = 0; turn <= 2 * draw(4); ++turn) {
      parts.push_back({Kind::kMessage, 300, 10 * turn + draw(2)});
    }
    prompts.push_back(Sent(draw(7'200'000), parts));
  }
  return prompts;
}

TEST(Placing, IsNeverDearerThanAnyOtherWay) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const std::vector<Traffic> tenants = {TrafficOf(RandomPrompts(seed))};
    for (const SheetCosts& costs : ReckonCosts(tenants, PublishedSheets())) {
      if (!costs.marked) continue;
      const PriceSheet& sheet = *costs.sheet;
      const double best = CostOf(costs.best(), sheet);
      EXPECT_LE(best, CostOf({.total = costs.automatic.total}, sheet) + 1e-12) << sheet.name;
      EXPECT_LE(best, CostOf(costs.automatic, sheet) + 1e-12) << sheet.name;
      EXPECT_EQ(costs.best().total, costs.automatic.total);
    }
  }
}

TEST(CostReport, TenantsShareNothing) {
  const Traffic one = TrafficOf({Questions(0)[0]});
  const std::vector<Traffic> two_tenants = {one, one};
  const std::vector<Traffic> together = {TrafficOf({Questions(0)[0], Questions(0)[0]})};
  const auto read = [](std::span<const Traffic> tenants) {
    return ReckonCosts(tenants, {&StepSheet(), 1})[0].automatic;
  };
  EXPECT_EQ(read(two_tenants), (PromptTokens{.total = 4200, .read = 0}));
  EXPECT_EQ(read(together), (PromptTokens{.total = 4200, .read = 2048}));
}

}  // namespace
}  // namespace reprise

#include "engine/prompt_ends.h"

#include <gtest/gtest.h>

#include <vector>

namespace reprise {
namespace {

constexpr size_t kRoomy = 1u << 20;

std::vector<TokenId> Prompt(TokenId first, size_t length) {
  std::vector<TokenId> tokens(length);
  for (size_t i = 0; i < length; ++i) tokens[i] = first + static_cast<TokenId>(i);
  return tokens;
}

std::vector<float> Logits(float first) { return std::vector<float>(100, first); }

TEST(PromptEndsTest, GivesBackTheBitsThatWereKept) {
  PromptEnds ends(kRoomy);
  ends.Keep("a", Prompt(1, 9), Logits(0.1F));
  ASSERT_NE(ends.Find("a", Prompt(1, 9)), nullptr);
  EXPECT_EQ(*ends.Find("a", Prompt(1, 9)), Logits(0.1F));
}

TEST(PromptEndsTest, KnowsNoOtherPromptAndNoOtherScope) {
  PromptEnds ends(kRoomy);
  ends.Keep("a", Prompt(1, 9), Logits(0.1F));
  EXPECT_EQ(ends.Find("a", Prompt(1, 8)), nullptr);
  EXPECT_EQ(ends.Find("a", Prompt(1, 10)), nullptr);
  EXPECT_EQ(ends.Find("a", Prompt(2, 9)), nullptr);
  EXPECT_EQ(ends.Find("b", Prompt(1, 9)), nullptr);
}

TEST(PromptEndsTest, TheLastKeptCounts) {
  PromptEnds ends(kRoomy);
  ends.Keep("a", Prompt(1, 9), Logits(0.1F));
  const size_t bytes = ends.bytes();
  ends.Keep("a", Prompt(1, 9), Logits(0.2F));
  EXPECT_EQ(*ends.Find("a", Prompt(1, 9)), Logits(0.2F));
  EXPECT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends.bytes(), bytes);
}

TEST(PromptEndsTest, DropsWhatWasUsedLongestAgo) {
  PromptEnds one(kRoomy);
  one.Keep("a", Prompt(0, 9), Logits(0));
  PromptEnds ends(3 * one.bytes());
  for (TokenId i = 0; i < 3; ++i) ends.Keep("a", Prompt(i, 9), Logits(0));
  EXPECT_NE(ends.Find("a", Prompt(0, 9)), nullptr);  // used again
  ends.Keep("a", Prompt(3, 9), Logits(0));
  EXPECT_EQ(ends.Find("a", Prompt(1, 9)), nullptr);
  EXPECT_NE(ends.Find("a", Prompt(0, 9)), nullptr);
  EXPECT_LE(ends.bytes(), 3 * one.bytes());
}

TEST(PromptEndsTest, WhatIsHandedOutOutlivesItsEntry) {
  PromptEnds ends(kRoomy);
  ends.Keep("a", Prompt(0, 9), Logits(0.5F));
  const PromptEnds::Logits held = ends.Find("a", Prompt(0, 9));
  ends.Clear();
  EXPECT_EQ(ends.Find("a", Prompt(0, 9)), nullptr);
  EXPECT_EQ(ends.bytes(), 0u);
  EXPECT_EQ(*held, Logits(0.5F));
}

TEST(PromptEndsTest, WhatIsLargerThanAllRoomIsNotKept) {
  PromptEnds ends(50);
  ends.Keep("a", Prompt(0, 9), Logits(0.5F));
  EXPECT_EQ(ends.size(), 0u);
}

}  // namespace
}  // namespace reprise

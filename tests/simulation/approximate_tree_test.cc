// Each rule of the yardstick by itself: blocks of 100 tokens, two workers.

#include "simulation/approximate_tree.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace reprise {
namespace {

class ApproximateTreeTest : public testing::Test {
 protected:
  // Where the prompt goes; `tokens`: of all of it, its blocks' or more.
  size_t Send(std::vector<TokenId> blocks, uint32_t tokens = 0) {
    if (tokens == 0) tokens = static_cast<uint32_t>(100 * blocks.size());
    trace_.requests = {{.tokens = tokens, .blocks = std::move(blocks)}};
    return tree_.Choose(trace_, 0, {.now = now_, .loads = {}, .outstanding = outstanding_});
  }

  double now_ = 0;
  std::array<size_t, 2> outstanding_ = {};
  Trace trace_{.block_tokens = 100};
  ApproximateTree tree_{{.replicas = 2, .block_tokens = 100}};
};

TEST_F(ApproximateTreeTest, WhatIsNewGoesToTheSmallestTree) {
  EXPECT_EQ(Send({1, 2, 3}), 0u);
  EXPECT_EQ(Send({4}), 1u);
  EXPECT_EQ(Send({5}), 1u);
  EXPECT_EQ(Send({6}), 1u);
  EXPECT_EQ(Send({7}), 0u) << "of equal ones the first";
}

TEST_F(ApproximateTreeTest, APromptGoesWhereMoreThanThreeTenthsOfItWent) {
  EXPECT_EQ(Send({1, 2, 3}), 0u);
  EXPECT_EQ(Send({1, 2, 3, 4}, 990), 0u) << "30.3 %";
  EXPECT_EQ(Send({1, 2, 3, 4}, 1340), 1u) << "29.9 %: to the smallest tree";
}

TEST_F(ApproximateTreeTest, WhereOneHasFarMoreThanTheOtherTheOtherIsSentIt) {
  EXPECT_EQ(Send({1, 2, 3}), 0u);
  outstanding_ = {64, 0};
  EXPECT_EQ(Send({1, 2, 3}), 0u) << "64 more is not too many";
  outstanding_ = {200, 135};
  EXPECT_EQ(Send({1, 2, 3}), 0u) << "1.5 times as many is not";
  outstanding_ = {65, 0};
  EXPECT_EQ(Send({1, 2, 3}), 1u);
}

}  // namespace
}  // namespace reprise

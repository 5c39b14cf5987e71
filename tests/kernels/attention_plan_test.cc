// What a call of attention is cut into, where results do not show it: work that a window spares,
// prefixes that sequences share.

#include "kernels/attention_plan.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/attention.h"

namespace reprise {
namespace {

constexpr int kContext = 20 * kPartitionTokens;
constexpr int kThreads = 4;

class AttentionPlanTest : public testing::Test {
 protected:
  // One row at each of the positions, of sequences on the same blocks.
  AttentionPlan PlanDecode(int window, const std::vector<int>& positions) {
    std::vector<SequenceSpan> spans;
    for (const int position : positions) {
      spans.push_back({static_cast<int>(spans.size()), 1, position, blocks_});
    }
    return Plan(window, spans);
  }

  AttentionPlan Plan(int window, const std::vector<SequenceSpan>& spans) {
    spec_.window = window;
    return PlanAttention({layout_, 0, nullptr, spec_, spans, nullptr}, kThreads);
  }

  KvLayout layout_ = {.layers = 1, .kv_heads = 2, .key_dim = 64, .value_dim = 64};
  AttentionSpec spec_ = {.heads = 8, .scale = 0.125F};
  std::vector<std::byte> block_ = std::vector<std::byte>(1);  // plans do not read blocks
  std::vector<std::byte*> blocks_ = std::vector<std::byte*>(kContext / 32, block_.data());
};

int64_t TotalCost(const AttentionPlan& plan) {
  int64_t cost = 0;
  for (const AttentionItem& item : plan.items) cost += item.cost;
  return cost;
}

TEST_F(AttentionPlanTest, CostsAWindowsWorkWhateverTheContext) {
  for (const int rows : {1, 40}) {
    const auto cost = [&](int first) {
      const AttentionPlan plan = Plan(1000, {{0, rows, first, blocks_}});
      for (const TilePlan& tile : plan.tiles) EXPECT_LE(tile.partitions.size(), 4);
      return TotalCost(plan);
    };
    EXPECT_EQ(cost(18 * kPartitionTokens), cost(4 * kPartitionTokens));
    EXPECT_LT(cost(18 * kPartitionTokens),
              TotalCost(Plan(0, {{0, rows, 8 * kPartitionTokens, blocks_}})) / 3);
  }
}

TEST_F(AttentionPlanTest, SharesPartitionsThatAllRowsSeeWhole) {
  const int last = 10 * kPartitionTokens + 5;
  const AttentionPlan without = PlanDecode(0, {last, last + 1, last + 2});
  ASSERT_EQ(without.shared.size(), 2U) << "for each KV head";
  EXPECT_EQ(without.shared[0].partitions.begin, 0);
  EXPECT_EQ(without.shared[0].partitions.end, 10);

  // The windows begin at 6 and 7 in the fifth partition.
  const AttentionPlan within = PlanDecode(6 * kPartitionTokens, {last, last + 1});
  ASSERT_EQ(within.shared.size(), 2U);
  EXPECT_EQ(within.shared[0].partitions.begin, 5);
  EXPECT_EQ(within.shared[0].partitions.end, 10);
  EXPECT_EQ(within.tiles[0].partitions.begin, 4);
  EXPECT_EQ(within.tiles[0].partitions.end, 11);

  // The first begins with a partition.
  const AttentionPlan at_edge = PlanDecode(6 * kPartitionTokens + 6, {last, last});
  EXPECT_EQ(at_edge.shared.at(0).partitions.begin, 4);
  EXPECT_TRUE(PlanDecode(kPartitionTokens, {last, last}).shared.empty()) << "none is seen whole";
}

TEST_F(AttentionPlanTest, CutsAGroupOfMoreHeadsThanATileHasRows) {
  layout_.kv_heads = 1;
  spec_.heads = 128;
  const AttentionPlan plan = Plan(0, {{0, 2, 100, blocks_}});
  std::vector<std::vector<int>> seen;
  for (const TilePlan& tile : plan.tiles) {
    seen.push_back({static_cast<int>(tile.first_row), tile.first_head, tile.tile.rows});
    EXPECT_EQ(tile.tile.first_position, 100 + static_cast<int>(tile.first_row));
  }
  const std::vector<std::vector<int>> expected = {{0, 0, 96}, {0, 96, 32}, {1, 0, 96}, {1, 96, 32}};
  EXPECT_EQ(seen, expected);
}

}  // namespace
}  // namespace reprise

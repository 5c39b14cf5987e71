#include "engine/memory_plan.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

constexpr size_t kMiB = 1 << 20;
// Blocks of 32 tokens: 6 layers of 8 heads of 64, in bf16 and bytes with scales.
constexpr KvLayout kLayout = {.layers = 6, .kv_heads = 8, .key_dim = 64, .value_dim = 64};

TEST(MemoryPlanTest, WithoutStatesAllIsBlocks) {
  const auto plan = PlanMemory(100 * kMiB, kLayout, 0);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->block_bytes, kLayout.block_bytes());
  EXPECT_EQ(plan->block_count, 100 * kMiB / kLayout.block_bytes());
  EXPECT_EQ(plan->state_count, 0U);
  EXPECT_EQ(plan->state_interval_tokens, 0U);
  EXPECT_FALSE(PlanMemory(kLayout.block_bytes() - 1, kLayout, 0));
}

TEST(MemoryPlanTest, SmallStatesTakeASixteenthAndLargeOnesHalf) {
  for (const size_t state_bytes : {size_t{1000}, size_t{100'000}, 2 * kMiB, 40 * kMiB}) {
    const auto plan = PlanMemory(1024 * kMiB, kLayout, state_bytes);
    ASSERT_TRUE(plan);
    const size_t of_states = plan->state_count * state_bytes;
    EXPECT_LE(of_states + plan->block_count * plan->block_bytes, 1024 * kMiB);
    EXPECT_GE(of_states + state_bytes, 64 * kMiB);
    EXPECT_LE(of_states, 512 * kMiB);
    EXPECT_GE(plan->working_states, 1U);
    EXPECT_LE(plan->working_states, 256U);
    EXPECT_LE(2 * plan->working_states, plan->state_count) << "snapshots have half at least";
  }
  EXPECT_EQ(PlanMemory(1024 * kMiB, kLayout, 1000)->state_count, 64 * kMiB / 1000);
  EXPECT_EQ(PlanMemory(1024 * kMiB, kLayout, 40 * kMiB)->state_count, 12U);
}

TEST(MemoryPlanTest, RegularSnapshotsTakeNoMoreRoomThanBlocksWithinBounds) {
  const size_t block = kLayout.block_bytes();
  EXPECT_EQ(PlanMemory(1024 * kMiB, kLayout, block)->state_interval_tokens, 16U * 32);
  EXPECT_EQ(PlanMemory(1024 * kMiB, kLayout, 20 * block)->state_interval_tokens, 20U * 32);
  EXPECT_EQ(PlanMemory(1024 * kMiB, kLayout, 200 * block)->state_interval_tokens, 64U * 32);
}

TEST(MemoryPlanTest, AModelWithoutAttentionHasBlocksForItsTree) {
  KvLayout none = kLayout;
  none.layers = 0;
  const auto plan = PlanMemory(1024 * kMiB, none, 10 * kMiB);
  ASSERT_TRUE(plan);
  EXPECT_GE(plan->block_bytes, 4096U);
  EXPECT_GT(plan->block_count, 1000U);
}

TEST(MemoryPlanTest, TwoStatesAndABlockAreTheLeast) {
  const size_t least = 2 * kMiB + kLayout.block_bytes();
  const auto plan = PlanMemory(least, kLayout, kMiB);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->state_count, 2U);
  EXPECT_EQ(plan->working_states, 1U);
  EXPECT_EQ(plan->block_count, 1U);
  const auto less = PlanMemory(least - 1, kLayout, kMiB);
  ASSERT_FALSE(less);
  EXPECT_EQ(less.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace reprise

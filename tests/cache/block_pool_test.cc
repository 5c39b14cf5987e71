#include "cache/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>

namespace reprise {
namespace {

std::unique_ptr<BlockPool> Pool(size_t block_count, size_t block_bytes) {
  return BlockPool::Create(block_count, block_bytes).value();
}

bool IsZero(BlockPool& pool, BlockId block) {
  return std::all_of(pool.data(block), pool.data(block) + pool.block_bytes(),
                     [](std::byte byte) { return byte == std::byte{0}; });
}

TEST(BlockPool, HandsOutEveryBlockOnceAndThenNone) {
  auto pool = Pool(5, 100);
  std::set<BlockId> blocks;
  for (int i = 0; i < 5; ++i) blocks.insert(pool->TryAllocate().value());
  EXPECT_EQ(blocks.size(), 5u);
  EXPECT_EQ(pool->free_blocks(), 0u);
  EXPECT_FALSE(pool->TryAllocate().has_value());
}

TEST(BlockPool, FreesABlockWithItsLastReference) {
  auto pool = Pool(1, 64);
  const BlockId block = pool->TryAllocate().value();
  pool->Reference(block);
  EXPECT_EQ(pool->references(block), 2u);
  pool->Release(block);
  EXPECT_EQ(pool->free_blocks(), 0u);
  pool->Release(block);
  EXPECT_EQ(pool->free_blocks(), 1u);
  EXPECT_EQ(pool->TryAllocate(), block);
}

TEST(BlockPool, ZeroesUsedBlocksAgain) {
  auto pool = Pool(3, 100);
  for (int round = 0; round < 3; ++round) {
    std::vector<BlockId> blocks;
    for (int i = 0; i < 3; ++i) {
      blocks.push_back(pool->TryAllocate().value());
      EXPECT_TRUE(IsZero(*pool, blocks.back()));
      std::fill_n(pool->data(blocks.back()), pool->block_bytes(), std::byte{0xAB});
    }
    for (const BlockId block : blocks) pool->Release(block);
  }
}

TEST(BlockPool, UsesABlockAgainBeforeTouchingNewMemory) {
  auto pool = Pool(1000, 64);
  const BlockId first = pool->TryAllocate().value();
  pool->Release(first);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(pool->TryAllocate(), first);
    pool->Release(first);
  }
}

TEST(BlockPool, AlignsPayloadsThatDoNotOverlap) {
  auto pool = Pool(4, 100);
  std::vector<uintptr_t> starts;
  for (int i = 0; i < 4; ++i)
    starts.push_back(reinterpret_cast<uintptr_t>(pool->data(pool->TryAllocate().value())));
  std::ranges::sort(starts);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(starts[i] % BlockPool::kAlignment, 0u);
  for (size_t i = 1; i < 4; ++i) EXPECT_GE(starts[i] - starts[i - 1], pool->block_bytes());
}

TEST(BlockPool, CopiesTheWholePayload) {
  auto pool = Pool(2, 100);
  const BlockId from = pool->TryAllocate().value();
  const BlockId to = pool->TryAllocate().value();
  for (size_t i = 0; i < 100; ++i) pool->data(from)[i] = static_cast<std::byte>(i + 1);
  pool->Copy(from, to);
  EXPECT_TRUE(std::equal(pool->data(from), pool->data(from) + 100, pool->data(to)));
}

TEST(BlockPool, BacksMemoryOnlyWhenTouched) {
  auto pool = BlockPool::Create(1 << 20, 1 << 16);  // 64 GiB
  ASSERT_TRUE(pool.has_value());
  EXPECT_EQ((*pool)->free_blocks(), size_t{1} << 20);
  EXPECT_TRUE(IsZero(**pool, (*pool)->TryAllocate().value()));
}

TEST(BlockPool, RefusesSizesThatCannotBe) {
  const size_t huge = std::numeric_limits<size_t>::max();
  const std::pair<size_t, size_t> sizes[] = {
      {0, 64}, {64, 0}, {1, huge}, {huge, 1}, {1u << 31, huge / 8}, {size_t{1} << 33, 64}};
  for (const auto& [block_count, block_bytes] : sizes) {
    const auto pool = BlockPool::Create(block_count, block_bytes);
    ASSERT_FALSE(pool.has_value());
    EXPECT_EQ(pool.error().code, ErrorCode::kInvalidArgument);
  }
  const auto pool =
      BlockPool::Create(1 << 20, size_t{1} << 40);  // addressable, but no machine has it
  ASSERT_FALSE(pool.has_value());
  EXPECT_EQ(pool.error().code, ErrorCode::kIo);
}

TEST(BlockPoolDeathTest, MisuseIsABrokenInvariant) {
  auto pool = Pool(2, 64);
  const BlockId block = pool->TryAllocate().value();
  pool->Release(block);
  EXPECT_DEATH(pool->Release(block), "a block is released once for each reference");
  EXPECT_DEATH(pool->Reference(block), "only a referenced block gains references");
  EXPECT_DEATH(pool->data(block), "only a referenced block's payload is used");
  EXPECT_DEATH(pool->Release(BlockId{2}), "a block id is an index into the pool");
}

}  // namespace
}  // namespace reprise

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/weight_memory.h"

namespace reprise {
namespace {

TEST(WeightMemoryTest, WhatIsTakenIsAlignedAndApart) {
  WeightMemory memory;
  std::vector<std::shared_ptr<uint8_t>> taken;
  const size_t sizes[] = {1, 64, 100, size_t{40} << 20, size_t{40} << 20, size_t{70} << 20, 5};
  for (const size_t bytes : sizes) {
    taken.push_back(memory.Take(bytes));
    ASSERT_EQ(reinterpret_cast<uintptr_t>(taken.back().get()) % 64, 0U);
    std::memset(taken.back().get(), static_cast<int>(taken.size()), bytes);
  }
  for (size_t i = 0; i < taken.size(); ++i) {
    const uint8_t* const bytes = taken[i].get();
    EXPECT_TRUE(std::all_of(bytes, bytes + sizes[i], [&](uint8_t b) { return b == i + 1; })) << i;
  }
}

TEST(WeightMemoryTest, OutlivesItsGiver) {
  std::shared_ptr<uint8_t> kept;
  {
    WeightMemory memory;
    memory.Take(1000);
    kept = memory.Take(1000);
    memory.Take(size_t{80} << 20);  // of another slab
  }
  std::memset(kept.get(), 7, 1000);
  EXPECT_EQ(kept.get()[999], 7);
}

}  // namespace
}  // namespace reprise

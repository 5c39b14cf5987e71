#include "base/memory_budget.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace reprise {
namespace {

TEST(MemoryBudgetTest, NobodyGetsMoreThanThereIs) {
  MemoryBudget budget(100);
  MemoryShare first(budget), second(budget);
  EXPECT_TRUE(first.Resize(60));
  EXPECT_FALSE(second.Resize(41));
  EXPECT_EQ(second.held(), 0U);
  EXPECT_TRUE(second.Resize(40));
  EXPECT_FALSE(second.Resize(SIZE_MAX));
  EXPECT_TRUE(first.Resize(10));
  EXPECT_EQ(budget.held(), 50U);
  MemoryShare third = first.Another();
  EXPECT_EQ(third.held(), 0U);
  EXPECT_FALSE(third.Resize(51));
}

TEST(MemoryBudgetTest, AShareGivesBackWhatItHoldsOnce) {
  MemoryBudget budget(100);
  {
    MemoryShare share(budget);
    share.Resize(70);
    const MemoryShare moved(std::move(share));
    EXPECT_EQ(budget.held(), 70U);
  }
  EXPECT_EQ(budget.held(), 0U);
  MemoryShare unbounded;
  EXPECT_TRUE(unbounded.Another().Resize(SIZE_MAX));
  EXPECT_TRUE(unbounded.Resize(SIZE_MAX));
}

}  // namespace
}  // namespace reprise

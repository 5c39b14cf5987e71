// The arithmetic of how many prompt rows fit a pause.

#include "engine/step_pace.h"

#include <gtest/gtest.h>

#include <limits>

namespace reprise {
namespace {

using namespace std::chrono_literals;

TEST(StepPaceTest, ARowCostsItsProductsAndTheKeysItSees) {
  const StepPace pace(0.001);
  EXPECT_DOUBLE_EQ(pace.Cost(1, 0), 1.001);
  EXPECT_DOUBLE_EQ(pace.Cost(1, 999), 2.0);
  EXPECT_DOUBLE_EQ(pace.Cost(3, 0), 3 + 0.001 * (1 + 2 + 3));
}

TEST(StepPaceTest, TheRowsWithinACostAreTheMostThatDoNotExceedIt) {
  for (const double per_key : {0.0, 0.0006, 0.01}) {
    const StepPace pace(per_key);
    for (const size_t position : {0, 31, 500, 7000, 100'000}) {
      for (const double cost : {0.5, 1.7, 16.3, 100.9, 5000.1}) {
        const size_t rows = pace.RowsWithin(cost, position);
        EXPECT_LE(pace.Cost(rows, position), cost * (1 + 1e-9));
        EXPECT_GT(pace.Cost(rows + 1, position), cost) << per_key << " " << position;
      }
    }
  }
  EXPECT_EQ(StepPace(0.001).RowsWithin(-1, 0), 0u);
  EXPECT_EQ(StepPace(0.001).RowsWithin(std::numeric_limits<double>::infinity(), 9),
            std::numeric_limits<size_t>::max());
}

TEST(StepPaceTest, WhatFitsAPauseIsLearntFromSteps) {
  StepPace pace(0);
  EXPECT_EQ(pace.CostWithin(100ms), std::nullopt) << "nothing is known";
  pace.Observe(2, 50ms);
  EXPECT_EQ(pace.CostWithin(100ms), std::nullopt) << "a step of two rows says nothing of rows";
  pace.Observe(100, 50ms);
  EXPECT_DOUBLE_EQ(*pace.CostWithin(100ms), 200);
  for (int i = 0; i < 20; ++i) pace.Observe(100, 200ms);  // the machine became slower
  EXPECT_NEAR(*pace.CostWithin(100ms), 50, 1);
}

TEST(StepPaceTest, WhatALongPromptCostsIsLearntFromLargeStepsOnly) {
  StepPace pace(0);
  pace.Observe(30, 60ms);  // most of it is what every step takes
  EXPECT_EQ(pace.bulk_seconds_per_cost(), std::nullopt);
  pace.Observe(500, 350ms);
  EXPECT_DOUBLE_EQ(*pace.bulk_seconds_per_cost(), 0.0007);
}

TEST(StepPaceTest, OneSlowStepDoesNotHalveTheNext) {
  StepPace pace(0);
  for (int i = 0; i < 5; ++i) pace.Observe(100, 50ms);
  pace.Observe(100, 150ms);
  EXPECT_GT(*pace.CostWithin(100ms), 100);
}

}  // namespace
}  // namespace reprise

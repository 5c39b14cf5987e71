#include "base/clock.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(ManualClock, StandsStillUntilToldToAdvance) {
  ManualClock clock;
  const TimePoint start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(std::chrono::minutes(10));
  EXPECT_EQ(clock.Now() - start, std::chrono::minutes(10));
}

TEST(SystemClock, NeverGoesBack) {
  SystemClock clock;
  const TimePoint first = clock.Now();
  EXPECT_LE(first, clock.Now());
}

}  // namespace
}  // namespace reprise

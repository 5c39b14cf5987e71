#include "http/pace.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

using std::chrono::seconds;

TEST(PaceTest, BytesNowAndThenGainNoTime) {
  const TimePoint begin;
  Pace pace(begin, seconds(10), seconds(60));
  EXPECT_EQ(pace.deadline(), begin + seconds(10));
  for (int i = 1; i < 10; ++i) pace.Move(1, begin + seconds(i));
  EXPECT_EQ(pace.deadline(), begin + seconds(10));
}

TEST(PaceTest, APaceGainsItsTimeAndTheWholeHasAnEnd) {
  const TimePoint begin;
  Pace pace(begin, seconds(10), seconds(60));
  pace.Move(limits::kPaceBytes / 2, begin + seconds(3));
  pace.Move(limits::kPaceBytes / 2, begin + seconds(8));
  EXPECT_EQ(pace.deadline(), begin + seconds(18));
  pace.Move(limits::kPaceBytes, begin + seconds(55));
  EXPECT_EQ(pace.deadline(), begin + seconds(60));
}

}  // namespace
}  // namespace reprise

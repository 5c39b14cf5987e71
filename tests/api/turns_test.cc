// How closely questions of one tenant may follow one another.

#include "api/turns.h"

#include <gtest/gtest.h>

#include <chrono>

namespace reprise {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint At(int ms) { return TimePoint(milliseconds(ms)); }

TEST(TurnsTest, OneThatAsksRarelyNeverWaits) {
  Turns turns(milliseconds(100), milliseconds(1000));
  for (const int ms : {0, 100, 250, 5000}) EXPECT_EQ(turns.Take("a", At(ms)), At(ms));
}

TEST(TurnsTest, OneThatAsksMuchWaitsForItselfAndForNobodyElse) {
  Turns turns(milliseconds(100), milliseconds(1000));
  for (int i = 0; i <= 10; ++i) EXPECT_EQ(turns.Take("a", At(5)), At(5 + 100 * i));
  EXPECT_EQ(turns.Take("a", At(5)), std::nullopt) << "it would be 1,100 ms";
  EXPECT_EQ(turns.Take("b", At(5)), At(5));
  EXPECT_EQ(turns.Take("a", At(105)), At(1105)) << "what was refused took no turn";
}

}  // namespace
}  // namespace reprise

// What several rows cost is learnt, whatever the machine's speed does meanwhile.

#include "engine/row_price.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace reprise {
namespace {

using namespace std::chrono_literals;

Duration Seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

TEST(RowPriceTest, BeginsWithALineAndOneForOneRow) {
  const RowPrice price;
  EXPECT_DOUBLE_EQ(price.Of(1), 1);
  EXPECT_NEAR(price.Of(8), 1.6, 0.01);
  for (size_t rows = 1; rows < 100; ++rows) EXPECT_LT(price.Of(rows), price.Of(rows + 1));
  EXPECT_NEAR(price.Of(5), (price.Of(4) + price.Of(6)) / 2, 1e-12);
  EXPECT_NEAR(price.Of(200) - price.Of(199), price.Of(64) - price.Of(63), 1e-9) << "goes on";
  EXPECT_FALSE(price.seconds());
}

TEST(RowPriceTest, LearnsTheCurveWhileTheSpeedChanges) {
  const auto real = [](size_t rows) { return 1 + 0.3 * static_cast<double>((rows + 3) / 4 - 1); };
  RowPrice price;
  std::mt19937 random(3);
  const size_t sizes[] = {1, 1, 1, 2, 4, 8, 12, 16, 32};
  for (int i = 0; i < 6000; ++i) {
    const double speed = i / 1500 % 2 == 0 ? 0.003 : 0.007;  // others come and go
    const size_t rows = sizes[random() % std::size(sizes)];
    const double noise = 0.95 + 0.1 * static_cast<double>(random() % 1000) / 1000;
    price.Observe(rows, Seconds(speed * noise * real(rows)));
  }
  for (const size_t rows : {1U, 2U, 4U, 8U, 12U, 16U, 32U}) {
    EXPECT_NEAR(price.Of(rows) / real(rows), 1, 0.15) << rows;
  }
  EXPECT_NEAR(*price.seconds(), 0.007, 0.0015);
}

TEST(RowPriceTest, OneSlowStepIsSomebodyElsesDoing) {
  RowPrice price;
  for (int i = 0; i < 100; ++i) price.Observe(1, 3ms);
  price.Observe(8, 900ms);
  EXPECT_LT(price.Of(8), 1.8);
  EXPECT_LT(*price.seconds(), 0.0035);
  price.Observe(8, 0ms);
  price.Observe(1000, 3ms);
  EXPECT_LT(price.Of(8), 1.8) << "nothing to learn from";
}

}  // namespace
}  // namespace reprise

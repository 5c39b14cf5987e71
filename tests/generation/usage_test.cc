#include "generation/usage.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace reprise {
namespace {

constexpr Duration k5m = std::chrono::minutes(5), k30m = std::chrono::minutes(30);
constexpr Duration k1h = std::chrono::hours(1), k24h = std::chrono::hours(24);
constexpr auto kYes = PinDecision::kAccepted, kNo = PinDecision::kPoolFull;

struct Row {
  int total, read;
  std::vector<BreakpointOutcome> breakpoints;
  int write_short, write_long;
};

TEST(Usage, CountsWhatIsReadNewlyKeptAndTheRest) {
  const Row table[] = {
      {100, 0, {}, 0, 0},
      {100, 70, {}, 0, 0},
      {100, 100, {{100, k5m, kYes}}, 0, 0},
      {100, 0, {{80, k5m, kYes}}, 80, 0},
      {100, 30, {{80, k5m, kYes}}, 50, 0},
      {100, 30, {{80, k30m, kYes}}, 50, 0},
      {100, 0, {{80, k1h, kYes}}, 0, 80},
      {100, 30, {{80, k24h, kYes}}, 0, 50},
      {100, 0, {{20, k1h, kYes}, {80, k5m, kYes}}, 60, 20},
      {100, 10, {{20, k1h, kYes}, {80, k5m, kYes}}, 60, 10},
      {100, 20, {{20, k1h, kYes}, {80, k5m, kYes}}, 60, 0},
      {100, 50, {{20, k1h, kYes}, {80, k5m, kYes}}, 30, 0},  // both before: only the short one new
      {100, 90, {{20, k1h, kYes}, {80, k5m, kYes}}, 0, 0},   // read beyond every breakpoint
      {100, 0, {{20, k5m, kYes}, {80, k1h, kYes}}, 0, 80},   // short before long: held for long
      {100, 0, {{20, k1h, kYes}, {40, k1h, kYes}, {60, k5m, kYes}, {80, k5m, kYes}}, 40, 40},
      {100, 30, {{20, k1h, kYes}, {40, k1h, kYes}, {60, k5m, kYes}, {80, k5m, kYes}}, 40, 10},
      {100, 0, {{80, k5m, kNo}}, 0, 0},  // no room: counted as automatic
      {100, 0, {{20, k1h, kYes}, {80, k1h, kNo}}, 0, 20},
      {100, 0, {{20, k5m, kYes}, {80, k1h, kNo}}, 20, 0},
      {100, 0, {{100, k1h, kYes}}, 0, 100},
      {0, 0, {}, 0, 0},
  };
  for (const Row& row : table) {
    const Usage usage = ComputeUsage(row.total, row.read, row.breakpoints);
    EXPECT_EQ(usage, (Usage{row.total, row.read, row.write_short, row.write_long}))
        << "read " << row.read << ", " << row.breakpoints.size()
        << " breakpoints: " << usage.write_short << " " << usage.write_long;
  }
}

TEST(Usage, ReadWriteAndRestAlwaysSumToTheTotal) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto upto = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const Duration ttls[] = {k5m, k30m, k1h, k24h};
  for (int i = 0; i < 10'000; ++i) {
    const int total = upto(200);
    const int read = upto(total + 1);
    std::vector<BreakpointOutcome> breakpoints;
    for (int n = upto(5); n > 0; --n) {
      breakpoints.push_back(
          {static_cast<size_t>(upto(total + 1)), ttls[upto(4)], upto(3) > 0 ? kYes : kNo});
    }
    const Usage usage = ComputeUsage(total, read, breakpoints);
    EXPECT_GE(usage.write_short, 0);
    EXPECT_GE(usage.write_long, 0);
    EXPECT_GE(usage.rest(), 0);
    EXPECT_EQ(usage.read + usage.write() + usage.rest(), total);
  }
}

}  // namespace
}  // namespace reprise

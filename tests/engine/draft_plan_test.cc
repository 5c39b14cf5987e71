// How many guesses are worth their rows: beside every other way to share them.

#include "engine/draft_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace reprise {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

double Tokens(double probability, size_t rows) {
  double tokens = 1;
  for (size_t i = 1; i <= rows; ++i) tokens += std::pow(probability, static_cast<double>(i));
  return tokens;
}

TEST(DraftPlanTest, OneStreamGetsTheRowsThatBringTheMostTokensASecond) {
  const RowPrice price;
  for (const double probability : {0.02, 0.08, 0.1, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995}) {
    size_t best = 0;
    for (size_t rows = 1; rows <= 40; ++rows) {
      if (Tokens(probability, rows) / price.Of(1 + rows) >
          Tokens(probability, best) / price.Of(1 + best)) {
        best = rows;
      }
    }
    const DraftCandidate candidate = {probability, 40};
    EXPECT_EQ(ChooseDrafts({&candidate, 1}, 1, 64, price, kNoLimit)[0], best) << probability;
  }
}

TEST(DraftPlanTest, NothingIsGuessedWhereItIsNotWorthARow) {
  const RowPrice price;
  const DraftCandidate candidates[] = {{0.05, 20}, {0, 0}};
  EXPECT_EQ(ChooseDrafts(candidates, 2, 64, price, kNoLimit), (std::vector<size_t>{0, 0}));
  EXPECT_TRUE(ChooseDrafts({}, 1, 64, price, kNoLimit).empty());
}

TEST(DraftPlanTest, GuessesEndWhereTheyAreAndWithTheRoom) {
  const RowPrice price;
  const DraftCandidate candidate = {0.99, 5};
  EXPECT_EQ(ChooseDrafts({&candidate, 1}, 1, 64, price, kNoLimit)[0], 5U);
  EXPECT_EQ(ChooseDrafts({&candidate, 1}, 1, 3, price, kNoLimit)[0], 3U);
  EXPECT_EQ(ChooseDrafts({&candidate, 1}, 1, 0, price, kNoLimit)[0], 0U);
  EXPECT_EQ(ChooseDrafts({&candidate, 1}, 1, 64, price, price.Of(3))[0], 2U);
}

TEST(DraftPlanTest, SurerStreamsGetMore) {
  const RowPrice price;
  const DraftCandidate candidates[] = {{0.9, 30}, {0.6, 30}, {0.9, 30}};
  const auto rows = ChooseDrafts(candidates, 3, 64, price, kNoLimit);
  EXPECT_GT(rows[0], rows[1]);
  EXPECT_GT(rows[1], 0U);
  EXPECT_LE(rows[0] > rows[2] ? rows[0] - rows[2] : rows[2] - rows[0], 1U);
}

TEST(DraftPlanTest, WhoHasNoGuessIsNotMadeToWait) {
  const RowPrice price;
  std::vector<DraftCandidate> candidates = {{0.99, 60}, {0, 0}};
  for (int others = 1; others < 20; ++others) {
    const size_t streams = candidates.size();
    const size_t rows = ChooseDrafts(candidates, streams, 64, price, kNoLimit)[0];
    EXPECT_GT(rows, 0U);
    EXPECT_LE(price.Of(streams + rows), price.Of(streams) / 0.8);
    candidates.push_back({0, 0});
  }
}

}  // namespace
}  // namespace reprise

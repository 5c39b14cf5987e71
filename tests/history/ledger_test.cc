// Counts over time, with a clock that the test moves: what falls into which second, minute and
// hour, what is forgotten, and how well a median is known.

#include "history/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/limits.h"

namespace reprise {
namespace {

constexpr int64_t kStart = 1'700'000'000;  // 20 seconds into a minute

LedgerFigures Tokens(uint64_t prompt, uint64_t read, double saved_seconds = 0) {
  LedgerFigures figures;
  figures.work = {.requests = 1, .prompt = prompt, .read = read, .saved_seconds = saved_seconds};
  return figures;
}

std::vector<uint64_t> Prompts(const LedgerAccount& account, LedgerSpan span, int64_t now) {
  std::vector<uint64_t> prompts;
  for (const LedgerStep& step : account.Series(span, now)) {
    prompts.push_back(step.figures.work.prompt);
  }
  return prompts;
}

TEST(LedgerTest, EverySecondSinceTheStartIsThereAlsoWithoutAnything) {
  LedgerAccount account(kStart);
  account.Add(kStart + 1, Tokens(5, 2));
  account.Add(kStart + 1, Tokens(3, 3));
  account.Add(kStart + 4, Tokens(7, 0));
  EXPECT_EQ(Prompts(account, LedgerSpan::kTenMinutes, kStart + 5),
            (std::vector<uint64_t>{0, 8, 0, 0, 7, 0}));
  const auto series = account.Series(LedgerSpan::kTenMinutes, kStart + 5);
  EXPECT_EQ(series.front().time, kStart);
  EXPECT_EQ(series[1].figures.work.requests, 2U);
  EXPECT_EQ(series[1].figures.work.read, 5U);
}

TEST(LedgerTest, MinutesBeginWhereTheClocksDo) {
  LedgerAccount account(kStart);
  account.Add(kStart + 39, Tokens(1, 0));  // the last second of the minute
  account.Add(kStart + 40, Tokens(10, 0));
  const auto series = account.Series(LedgerSpan::kDay, kStart + 100);
  ASSERT_EQ(series.size(), 3U);
  EXPECT_EQ(series[0].time, kStart - 20);
  EXPECT_EQ(Prompts(account, LedgerSpan::kDay, kStart + 100), (std::vector<uint64_t>{1, 10, 0}));
}

TEST(LedgerTest, NoMoreThanTenMinutesOfSecondsAndADayOfMinutesAreKept) {
  LedgerAccount account(kStart);
  constexpr int64_t kDays = 3 * 86'400;
  for (int64_t second = 0; second < kDays; second += 50) account.Add(kStart + second, Tokens(1, 0));
  const int64_t now = kStart + kDays - 50;
  const auto by_seconds = Prompts(account, LedgerSpan::kTenMinutes, now);
  const auto by_minutes = Prompts(account, LedgerSpan::kDay, now);
  EXPECT_EQ(by_seconds.size(), 600U);
  EXPECT_EQ(std::ranges::count(by_seconds, 1U), 12) << "600 s / 50 s";
  EXPECT_EQ(by_minutes.size(), 1440U);
  EXPECT_EQ(account.since_start().work.prompt, static_cast<uint64_t>(kDays / 50));
  EXPECT_EQ(account.LastHour(now).work.prompt, [&] {
    uint64_t expected = 0;
    for (int64_t at = kStart; at <= now; at += 50) expected += at >= now - now % 60 - 59 * 60;
    return expected;
  }());
}

TEST(LedgerTest, TheLastHourIsTheCurrentMinuteAnd59Before) {
  LedgerAccount account(kStart);
  account.Add(kStart, Tokens(100, 60, 1.5));
  account.Add(kStart + 600, Tokens(10, 4, 0.25));
  EXPECT_EQ(account.LastHour(kStart + 3579).work.prompt, 110U);
  EXPECT_DOUBLE_EQ(account.LastHour(kStart + 3579).work.saved_seconds, 1.75);
  EXPECT_EQ(account.LastHour(kStart + 3580).work.prompt, 10U);
  EXPECT_EQ(account.LastHour(kStart + 7200).work.requests, 0U);
  EXPECT_EQ(account.since_start().work.read, 64U);
}

TEST(LedgerTest, AGaugeStandsUntilItChanges) {
  LedgerAccount account(kStart);
  account.NoteGauges(kStart + 1, {.running = 2});
  account.Add(kStart + 3, Tokens(1, 0));
  account.NoteGauges(kStart + 4, {.running = 2});
  account.NoteGauges(kStart + 5, {.running = 0, .blocks_free = 9});
  std::vector<size_t> running;
  for (const auto& step : account.Series(LedgerSpan::kTenMinutes, kStart + 6)) {
    running.push_back(step.gauges.running);
  }
  EXPECT_EQ(running, (std::vector<size_t>{0, 2, 2, 2, 2, 0, 0}));
  EXPECT_EQ(account.Second(kStart + 2).gauges.running, 2U);
  EXPECT_EQ(account.Series(LedgerSpan::kTenMinutes, kStart + 9999).front().gauges.blocks_free, 9U)
      << "also when the second in which it changed is no longer kept";
  account.Add(kStart + 20'000, Tokens(1, 0));
  EXPECT_EQ(account.Second(kStart + 19'999).gauges.blocks_free, 9U);
}

TEST(LedgerTest, WhatIsNotedOfTheSecondBeforeGoesThere) {
  LedgerAccount account(kStart);
  account.Add(kStart + 2, Tokens(1, 0));
  account.Add(kStart + 1, Tokens(5, 0));
  EXPECT_EQ(Prompts(account, LedgerSpan::kTenMinutes, kStart + 2),
            (std::vector<uint64_t>{0, 5, 1}));
  account.Add(kStart + 1000, Tokens(1, 0));
  account.Add(kStart + 3, Tokens(50, 0));  // a clock that was set back
  EXPECT_EQ(account.since_start().work.prompt, 57U);
  EXPECT_EQ(Prompts(account, LedgerSpan::kTenMinutes, kStart + 1000).front(), 0U);
}

TEST(LedgerTest, TenantsCountApartAndTheOneSilentForLongestIsForgotten) {
  Ledger ledger(kStart);
  for (size_t i = 0; i < limits::kMaxApiKeys; ++i) {
    ledger.Add("t/" + std::to_string(i), kStart + static_cast<int64_t>(i),
               Tokens(limits::kMaxApiKeys - i, 0));  // the first ones asked most
  }
  ledger.Add("t/0", kStart + 5000, Tokens(4, 0));
  ledger.Add("t/new", kStart + 5001, Tokens(2, 1));
  EXPECT_EQ(ledger.tenants().size(), limits::kMaxApiKeys);
  EXPECT_FALSE(ledger.tenants().contains("t/1"));
  EXPECT_EQ(ledger.Of("t/0").since_start().work.prompt, limits::kMaxApiKeys + 4);
  EXPECT_EQ(ledger.Of("t/new").since_start().work.read, 1U);
  EXPECT_EQ(ledger.Of("t/nobody").since_start().work.requests, 0U);
  EXPECT_EQ(ledger.total().since_start().work.requests, limits::kMaxApiKeys + 2);
}

TEST(LedgerTest, FirstTokensOfHitsAndOfOthersHaveTheirOwnMedian) {
  LedgerAccount account(kStart);
  const auto add = [&](int64_t at, double ms, bool cached) {
    LedgerFigures figures;
    (cached ? figures.cached : figures.cold).Add(ms);
    account.Add(kStart + at, figures);
  };
  add(0, 1000, false);
  add(0, 10, true);
  add(0, 30, true);
  add(0, 20, true);
  add(7200, 500, false);
  EXPECT_NEAR(*account.since_start().cached.Median(), 20, 0.2);
  EXPECT_NEAR(*account.since_start().cold.Median(), 500, 5) << "the lower of the two in the middle";
  EXPECT_EQ(account.LastHour(kStart + 7200).cached.Median(), std::nullopt);
  EXPECT_NEAR(*account.LastHour(kStart + 7200).cold.Median(), 500, 5);
}

TEST(MedianCountTest, IsWithinOnePercentOfTheMedianOfASortedList) {
  std::mt19937 random(7);
  std::lognormal_distribution<double> draw(5, 2);
  for (const size_t size : {1, 2, 5, 100, 4001}) {
    MedianCount halves[2], count;
    std::vector<double> all;
    for (size_t i = 0; i < size; ++i) {
      all.push_back(std::clamp(draw(random), 0.2, 1e7));
      halves[i % 2].Add(all.back());
    }
    for (const MedianCount& half : halves) count.Merge(half);
    std::ranges::sort(all);
    const double median = all[(size - 1) / 2];
    EXPECT_EQ(count.count(), size);
    EXPECT_NEAR(*count.Median() / median, 1, 0.01) << size;
  }
}

TEST(MedianCountTest, TakesWhatIsBeyondItsEnds) {
  MedianCount count;
  count.Add(0);
  EXPECT_NEAR(*count.Median(), 0.1, 0.002);
  count = {};
  count.Add(std::numeric_limits<double>::infinity());
  EXPECT_NEAR(*count.Median(), 1e8, 2e6);
  EXPECT_EQ(MedianCount().Median(), std::nullopt);
}

}  // namespace
}  // namespace reprise

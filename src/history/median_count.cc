#include "history/median_count.h"

#include <algorithm>
#include <cmath>

namespace reprise {
namespace {

constexpr double kRatio = 1.02;
constexpr double kShortestMs = 0.1;
constexpr double kLongestMs = 1e8;

}  // namespace

void MedianCount::Add(double ms) {
  const double within = std::clamp(ms, kShortestMs, kLongestMs);
  Add(static_cast<int16_t>(std::floor(std::log(within) / std::log(kRatio))), 1);
}

void MedianCount::Merge(const MedianCount& other) {
  for (const Interval& each : other.intervals_) Add(each.exponent, each.count);
}

void MedianCount::Add(int16_t exponent, uint32_t count) {
  count_ += count;
  const auto at = std::ranges::lower_bound(intervals_, exponent, {}, &Interval::exponent);
  if (at != intervals_.end() && at->exponent == exponent) {
    at->count += count;
  } else {
    intervals_.insert(at, {exponent, count});
  }
}

std::optional<double> MedianCount::Median() const {
  uint64_t before = 0;
  for (const Interval& each : intervals_) {
    before += each.count;
    if (before * 2 >= count_) return std::pow(kRatio, each.exponent + 0.5);
  }
  return std::nullopt;
}

}  // namespace reprise

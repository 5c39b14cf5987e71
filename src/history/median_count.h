#pragma once

// Counts durations so that their median is known to 1 %: each goes into one of the intervals
// [1.02^i, 1.02^(i+1)) ms, and the median is told as the middle of its interval. From 0.1 ms to 28
// hours; what is beyond counts as the nearest. Holds the intervals with something in them only: 8
// bytes each, at most 1,053 of them. A value.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace reprise {

class MedianCount {
 public:
  void Add(double ms);
  void Merge(const MedianCount& other);

  uint64_t count() const { return count_; }
  // Of an even count the lower of the two in the middle; nullopt: nothing was counted.
  std::optional<double> Median() const;  // ms

 private:
  struct Interval {
    int16_t exponent = 0;
    uint32_t count = 0;
  };
  void Add(int16_t exponent, uint32_t count);

  std::vector<Interval> intervals_;  // ascending
  uint64_t count_ = 0;
};

}  // namespace reprise

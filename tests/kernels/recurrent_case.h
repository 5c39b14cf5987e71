#pragma once

// Batches of sequences for the tests of operations that carry a state: the same rows in one call,
// or in many, on every instruction set and with several numbers of threads.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/operations.h"

namespace reprise {

inline std::vector<float> NormalFloats(size_t count, unsigned seed, float mean = 0.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(mean, 1.0F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Sequence s has lengths[s] rows, which lie one after another in the batch.
class RecurrentBatch {
 public:
  using Call = std::function<void(Operations&, std::span<const SequenceSpan>, size_t state_offset,
                                  float* out)>;

  static constexpr size_t kStateOffset = 52;  // states of other layers lie before and behind
  static constexpr std::byte kOthers{0x5A};

  RecurrentBatch(std::vector<int> lengths, size_t out_columns, size_t state_bytes, Call call)
      : lengths_(std::move(lengths)),
        out_columns_(out_columns),
        state_bytes_(state_bytes),
        call_(std::move(call)) {}

  size_t rows() const {
    size_t rows = 0;
    for (const int length : lengths_) rows += static_cast<size_t>(length);
    return rows;
  }

  struct Outcome {
    std::vector<float> out;
    std::vector<std::vector<std::byte>> states;
    bool operator==(const Outcome& other) const {
      return states == other.states && out.size() == other.out.size() &&
             std::memcmp(out.data(), other.out.data(), out.size() * sizeof(float)) == 0;
    }
  };

  // Up to `chunk` rows of each sequence in a call; with `alone` each sequence has its own calls.
  Outcome Run(Operations& operations, int chunk, bool alone = false) const {
    Outcome outcome;
    outcome.out.assign(rows() * out_columns_, -1.0F);
    for (size_t s = 0; s < lengths_.size(); ++s) {
      std::vector<std::byte> state(kStateOffset + state_bytes_ + 4, kOthers);
      std::fill_n(state.begin() + kStateOffset, state_bytes_, std::byte{0});
      outcome.states.push_back(std::move(state));
    }
    const int longest = *std::max_element(lengths_.begin(), lengths_.end());
    for (int position = 0; position < longest; position += chunk) {
      std::vector<SequenceSpan> spans;
      int first_row = 0;
      for (size_t s = 0; s < lengths_.size(); ++s) {
        const int left = std::min(lengths_[s] - position, chunk);
        if (left > 0) {
          spans.push_back({.first_row = first_row + position,
                           .rows = left,
                           .first_position = position,
                           .blocks = {},
                           .state = outcome.states[s].data()});
        }
        first_row += lengths_[s];
      }
      for (size_t i = 0; alone && i < spans.size(); ++i) {
        call_(operations, {&spans[i], 1}, kStateOffset, outcome.out.data());
      }
      if (!alone) call_(operations, spans, kStateOffset, outcome.out.data());
    }
    for (const std::vector<std::byte>& state : outcome.states) {
      EXPECT_TRUE(
          std::all_of(state.begin(), state.begin() + kStateOffset,
                      [](std::byte b) { return b == kOthers; }) &&
          std::all_of(state.end() - 4, state.end(), [](std::byte b) { return b == kOthers; }))
          << "the states of other layers";
    }
    return outcome;
  }

  // However the rows are cut, whoever is beside them, with any number of threads: the same results
  // and states.
  void ExpectTheSameBitsHoweverCut() const {
    for (const Isa isa : OfferedIsas()) {
      for (const Compute compute : {Compute::kFast, Compute::kExact}) {
        const Outcome expected = Run(*MakeOperations(isa, compute, 1).value(), 1 << 20);
        EXPECT_TRUE(std::none_of(expected.out.begin(), expected.out.end(),
                                 [](float y) { return std::isnan(y) || y == -1.0F; }));
        for (const int threads : {1, 2, 5}) {
          SCOPED_TRACE(testing::Message() << IsaName(isa) << ", " << threads << " threads");
          const auto operations = MakeOperations(isa, compute, threads).value();
          EXPECT_TRUE(Run(*operations, 1 << 20) == expected);
          EXPECT_TRUE(Run(*operations, 1 << 20, true) == expected) << "each sequence alone";
          if (threads == 5) continue;
          EXPECT_TRUE(Run(*operations, 1) == expected) << "row by row";
          EXPECT_TRUE(Run(*operations, 3) == expected) << "three rows at a time";
        }
      }
    }
  }

  void ExpectTheSameBitsOnEveryIsa() const {
    const Outcome expected = Run(*MakeOperations(Isa::kPlain, Compute::kFast, 1).value(), 1 << 20);
    for (const Isa isa : OfferedIsas()) {
      EXPECT_TRUE(Run(*MakeOperations(isa, Compute::kFast, 1).value(), 1 << 20) == expected)
          << IsaName(isa);
    }
  }

 private:
  std::vector<int> lengths_;
  size_t out_columns_;
  size_t state_bytes_;
  Call call_;
};

// The root mean square of the error, relative to that of the values.
inline double RelativeError(const std::vector<float>& got, const std::vector<double>& expected) {
  EXPECT_EQ(got.size(), expected.size());
  double error = 0;
  double size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - expected[i], 2);
    size += std::pow(expected[i], 2);
  }
  return std::sqrt(error / size);
}

}  // namespace reprise

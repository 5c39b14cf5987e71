#include <gtest/gtest.h>

#include "recurrent_case.h"

namespace reprise {
namespace {

struct ConvCase {
  int channels;
  int taps;
  bool has_bias;
  bool has_silu;
  bool has_gates;
};

constexpr ConvCase kConvCases[] = {{600, 4, true, true, false},   // Mamba-2
                                   {600, 4, false, true, false},  // gated delta net
                                   {515, 3, false, false, true},  // LFM2
                                   {7, 2, true, false, true},
                                   {20'000, 8, true, true, true}};  // forked for each row

class ShortConvTest : public testing::TestWithParam<ConvCase> {
 protected:
  static constexpr ptrdiff_t kMargin = 3;  // columns of x and gates that are not theirs

  const size_t channels_ = static_cast<size_t>(GetParam().channels);
  const ptrdiff_t stride_ = GetParam().channels + kMargin;
  const std::vector<int> lengths_ = {9, 1, 14, 2};
  const size_t rows_ = 26;
  const std::vector<float> weight_ =
      NormalFloats(channels_ * static_cast<size_t>(GetParam().taps), 1);
  const std::vector<float> bias_ = NormalFloats(channels_, 2);
  const std::vector<float> x_ = NormalFloats(rows_ * static_cast<size_t>(stride_), 3);
  const std::vector<float> in_gate_ = NormalFloats(rows_ * static_cast<size_t>(stride_), 4);
  const std::vector<float> out_gate_ = NormalFloats(rows_ * static_cast<size_t>(stride_), 5);

  ShortConvSpec Spec() const {
    return {.channels = GetParam().channels,
            .taps = GetParam().taps,
            .weight = weight_.data(),
            .bias = GetParam().has_bias ? bias_.data() : nullptr,
            .has_silu = GetParam().has_silu};
  }

  RecurrentBatch Batch() const {
    return {lengths_, channels_, Spec().StateBytes(),
            [this](Operations& operations, std::span<const SequenceSpan> sequences, size_t offset,
                   float* out) {
              ShortConvRows rows = {.x = {x_.data() + kMargin, stride_}};
              if (GetParam().has_gates) {
                rows.in_gate = {in_gate_.data() + kMargin, stride_};
                rows.out_gate = {out_gate_.data() + kMargin, stride_};
              }
              operations.ShortConv(Spec(), rows, sequences, offset, out);
            }};
  }

  double At(const std::vector<float>& values, int row, size_t channel) const {
    return static_cast<double>(values[static_cast<size_t>(row * stride_ + kMargin) + channel]);
  }

  std::vector<double> InDoubles() const {
    std::vector<double> out;
    int first = 0;
    for (const int length : lengths_) {
      for (int r = 0; r < length; ++r) {
        for (size_t c = 0; c < channels_; ++c) {
          double sum = GetParam().has_bias ? static_cast<double>(bias_[c]) : 0;
          for (int lag = 0; lag < GetParam().taps && lag <= r; ++lag) {
            double u = At(x_, first + r - lag, c);
            if (GetParam().has_gates) u *= At(in_gate_, first + r - lag, c);
            sum += u * static_cast<double>(
                           weight_[static_cast<size_t>(GetParam().taps - 1 - lag) * channels_ + c]);
          }
          if (GetParam().has_silu) sum /= 1 + std::exp(-sum);
          if (GetParam().has_gates) sum *= At(out_gate_, first + r, c);
          out.push_back(sum);
        }
      }
      first += length;
    }
    return out;
  }
};

TEST_P(ShortConvTest, IsNearTheReference) {
  const auto operations = MakeOperations(DetectIsa(), Compute::kFast, 2).value();
  EXPECT_LT(RelativeError(Batch().Run(*operations, 1000).out, InDoubles()), 3e-7);
}

TEST_P(ShortConvTest, HasTheSameBitsHoweverCut) { Batch().ExpectTheSameBitsHoweverCut(); }

INSTANTIATE_TEST_SUITE_P(All, ShortConvTest, testing::ValuesIn(kConvCases));

}  // namespace
}  // namespace reprise

#include <gtest/gtest.h>

#include "recurrent_case.h"

namespace reprise {
namespace {

constexpr float kEpsilon = 1e-5F;

struct GatedNormCase {
  int groups;
  int columns;
};

constexpr GatedNormCase kGatedNormCases[] = {{1, 3072}, {8, 40}, {3, 7}};

class GatedRmsNormTest : public testing::TestWithParam<GatedNormCase> {
 protected:
  static constexpr int kRows = 50;  // forked

  const size_t groups_ = static_cast<size_t>(GetParam().groups);
  const size_t columns_ = static_cast<size_t>(GetParam().columns);
  const size_t width_ = groups_ * columns_;
  const size_t stride_ = width_ + 5;  // of the gate
  const std::vector<float> x_ = NormalFloats(kRows * width_, 1);
  const std::vector<float> gate_ = NormalFloats(kRows * stride_, 2);
  const std::vector<float> weight_ = NormalFloats(width_, 3);

  void Norm(Operations& operations, const float* x, int first_row, int rows, float* out) const {
    const GatedNormSpec spec = {.groups = GetParam().groups,
                                .columns = GetParam().columns,
                                .weight = weight_,
                                .epsilon = kEpsilon};
    const RowsView gate = {gate_.data() + static_cast<size_t>(first_row) * stride_,
                           static_cast<ptrdiff_t>(stride_)};
    operations.GatedRmsNorm(spec, x, gate, rows, out);
  }

  std::vector<double> InDoubles() const {
    std::vector<double> out;
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t g = 0; g < groups_; ++g) {
        std::vector<double> values;
        double squares = 0;
        for (size_t c = 0; c < columns_; ++c) {
          const auto z = static_cast<double>(gate_[row * stride_ + g * columns_ + c]);
          values.push_back(z / (1 + std::exp(-z)) *
                           static_cast<double>(x_[row * width_ + g * columns_ + c]));
          squares += values.back() * values.back();
        }
        const double root =
            std::sqrt(squares / static_cast<double>(columns_) + static_cast<double>(kEpsilon));
        for (size_t c = 0; c < columns_; ++c) {
          out.push_back(values[c] / root * static_cast<double>(weight_[g * columns_ + c]));
        }
      }
    }
    return out;
  }
};

TEST_P(GatedRmsNormTest, IsNearTheReference) {
  const auto operations = MakeOperations(DetectIsa(), Compute::kFast, 2).value();
  std::vector<float> out(x_.size());
  Norm(*operations, x_.data(), 0, kRows, out.data());
  EXPECT_LT(RelativeError(out, InDoubles()), 3e-7);
}

TEST_P(GatedRmsNormTest, OfARowIsTheSameAmongOthersInPlaceAndWithAnyThreads) {
  const auto one = MakeOperations(DetectIsa(), Compute::kFast, 1).value();
  for (const int threads : {1, 2, 3}) {
    const auto operations = MakeOperations(DetectIsa(), Compute::kFast, threads).value();
    std::vector<float> together = x_;
    Norm(*operations, together.data(), 0, kRows, together.data());
    for (int row = 0; row < kRows; ++row) {
      std::vector<float> alone(width_);
      const size_t at = static_cast<size_t>(row) * width_;
      Norm(*one, &x_[at], row, 1, alone.data());
      ASSERT_EQ(std::memcmp(alone.data(), &together[at], width_ * sizeof(float)), 0)
          << "row " << row << ", " << threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GatedRmsNormTest, testing::ValuesIn(kGatedNormCases));

}  // namespace
}  // namespace reprise

#include <gtest/gtest.h>

#include "recurrent_case.h"

namespace reprise {
namespace {

struct ScanCase {
  int heads;
  int head_dim;
  int groups;
  int d_state;
};

constexpr ScanCase kScanCases[] = {
    {8, 64, 1, 128},  // Granite 4, fewer heads
    {6, 80, 2, 32},   // 64 columns and 16
    {4, 21, 4, 5},    // columns one by one
};

class Mamba2ScanTest : public testing::TestWithParam<ScanCase> {
 protected:
  const size_t heads_ = static_cast<size_t>(GetParam().heads);
  const size_t head_dim_ = static_cast<size_t>(GetParam().head_dim);
  const size_t groups_ = static_cast<size_t>(GetParam().groups);
  const size_t d_state_ = static_cast<size_t>(GetParam().d_state);
  const std::vector<int> lengths_ = {40, 1, 23};
  const size_t rows_ = 64;
  // As a projection gives them: x, B, C, dt of a row one after another.
  const size_t b_at_ = heads_ * head_dim_;
  const size_t c_at_ = b_at_ + groups_ * d_state_;
  const size_t dt_at_ = c_at_ + groups_ * d_state_;
  const size_t stride_ = dt_at_ + heads_;
  const std::vector<float> projected_ = NormalFloats(rows_ * stride_, 1);
  const std::vector<float> dt_bias_ = NormalFloats(heads_, 2, -1.0F);
  const std::vector<float> d_ = NormalFloats(heads_, 3);
  std::vector<float> a_ = NormalFloats(heads_, 4);

  Mamba2ScanTest() {
    for (float& a : a_) a = -std::exp(a);
  }

  Mamba2Spec Spec() const {
    return {.heads = GetParam().heads,
            .head_dim = GetParam().head_dim,
            .groups = GetParam().groups,
            .d_state = GetParam().d_state,
            .dt_bias = dt_bias_.data(),
            .a = a_.data(),
            .d = d_.data()};
  }

  RecurrentBatch Batch() const {
    return {lengths_, heads_ * head_dim_, Spec().StateBytes(),
            [this](Operations& operations, std::span<const SequenceSpan> sequences, size_t offset,
                   float* out) {
              const auto stride = static_cast<ptrdiff_t>(stride_);
              const float* const at = projected_.data();
              operations.Mamba2Scan(Spec(),
                                    {.x = {at, stride},
                                     .b = {at + b_at_, stride},
                                     .c = {at + c_at_, stride},
                                     .dt = {at + dt_at_, stride}},
                                    sequences, offset, out);
            }};
  }

  // y_t = Σ_{s ≤ t} e^(a Σ_{s < i ≤ t} Δ_i) Δ_s (C_t · B_s) x_s + d x_t: the sum written out, not
  // the recurrence.
  std::vector<double> InDoubles() const {
    std::vector<double> out(rows_ * heads_ * head_dim_);
    size_t first = 0;
    for (const int length : lengths_) {
      for (size_t h = 0; h < heads_; ++h) {
        const size_t group = h / (heads_ / groups_) * d_state_;
        for (size_t t = first; t < first + static_cast<size_t>(length); ++t) {
          double* const y = &out[(t * heads_ + h) * head_dim_];
          for (size_t p = 0; p < head_dim_; ++p) {
            y[p] = static_cast<double>(d_[h]) * At(t, h * head_dim_ + p);
          }
          double later = 0;
          for (size_t s = t + 1; s-- > first;) {
            const double dt =
                std::log1p(std::exp(At(s, dt_at_ + h) + static_cast<double>(dt_bias_[h])));
            double product = 0;
            for (size_t n = 0; n < d_state_; ++n) {
              product += At(t, c_at_ + group + n) * At(s, b_at_ + group + n);
            }
            product *= dt * std::exp(static_cast<double>(a_[h]) * later);
            for (size_t p = 0; p < head_dim_; ++p) y[p] += product * At(s, h * head_dim_ + p);
            later += dt;
          }
        }
      }
      first += static_cast<size_t>(length);
    }
    return out;
  }

  double At(size_t row, size_t column) const {
    return static_cast<double>(projected_[row * stride_ + column]);
  }
};

TEST_P(Mamba2ScanTest, IsNearTheReference) {
  const auto operations = MakeOperations(DetectIsa(), Compute::kFast, 2).value();
  EXPECT_LT(RelativeError(Batch().Run(*operations, 1000).out, InDoubles()), 1e-6);
}

TEST_P(Mamba2ScanTest, HasTheSameBitsHoweverCut) { Batch().ExpectTheSameBitsHoweverCut(); }

TEST_P(Mamba2ScanTest, HasTheSameBitsOnEveryIsa) { Batch().ExpectTheSameBitsOnEveryIsa(); }

INSTANTIATE_TEST_SUITE_P(All, Mamba2ScanTest, testing::ValuesIn(kScanCases));

// softplus and the decay where they saturate: nothing is lost with a large step, nothing comes in
// with none.
TEST(Mamba2Test, StepsOfAnySizeAreFinite) {
  const auto operations = MakeOperations(DetectIsa(), Compute::kFast, 1).value();
  const float zero = 0.0F;
  const float a = -1.0F;
  const Mamba2Spec spec = {
      .heads = 1, .head_dim = 1, .groups = 1, .d_state = 1, .dt_bias = &zero, .a = &a, .d = &zero};
  const float dts[] = {-200.0F, -20.0F, 0.0F, 30.0F, 1000.0F};
  const float one = 1.0F;
  for (const float dt : dts) {
    float state = 2.0F;
    float y = -1.0F;
    const SequenceSpan span = {.first_row = 0,
                               .rows = 1,
                               .first_position = 1,
                               .blocks = {},
                               .state = reinterpret_cast<std::byte*>(&state)};
    operations->Mamba2Scan(spec, {.x = {&one, 1}, .b = {&one, 1}, .c = {&one, 1}, .dt = {&dt, 1}},
                           {&span, 1}, 0, &y);
    const double wide = static_cast<double>(dt);
    const double step = wide > 100 ? wide : std::log1p(std::exp(wide));
    const double expected = 2 * std::exp(-step) + step;
    EXPECT_NEAR(static_cast<double>(y), expected, 3e-7 * expected) << dt;
    EXPECT_EQ(y, state);
  }
}

}  // namespace
}  // namespace reprise

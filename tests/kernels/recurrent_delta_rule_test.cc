#include <gtest/gtest.h>

#include "recurrent_case.h"

namespace reprise {
namespace {

struct DeltaCase {
  int key_heads;
  int value_heads;
  int key_dim;
  int value_dim;
};

constexpr DeltaCase kDeltaCases[] = {
    {2, 4, 128, 128},  // Qwen3-Next, fewer heads
    {3, 3, 24, 80},    // 64 columns and 16
    {1, 3, 10, 21},    // columns one by one
};

class DeltaRuleTest : public testing::TestWithParam<DeltaCase> {
 protected:
  const size_t key_heads_ = static_cast<size_t>(GetParam().key_heads);
  const size_t value_heads_ = static_cast<size_t>(GetParam().value_heads);
  const size_t key_dim_ = static_cast<size_t>(GetParam().key_dim);
  const size_t value_dim_ = static_cast<size_t>(GetParam().value_dim);
  const std::vector<int> lengths_ = {40, 1, 23};
  const size_t rows_ = 64;
  // q, k, v, decay and beta of a row one after another.
  const size_t k_at_ = key_heads_ * key_dim_;
  const size_t v_at_ = 2 * k_at_;
  const size_t decay_at_ = v_at_ + value_heads_ * value_dim_;
  const size_t beta_at_ = decay_at_ + value_heads_;
  const size_t stride_ = beta_at_ + value_heads_;
  const std::vector<float> projected_ = NormalFloats(rows_ * stride_, 1);
  const std::vector<float> dt_bias_ = NormalFloats(value_heads_, 2, -2.0F);
  std::vector<float> a_ = NormalFloats(value_heads_, 3);

  DeltaRuleTest() {
    for (float& a : a_) a = -std::exp(a);
  }

  DeltaRuleSpec Spec() const {
    return {.key_heads = GetParam().key_heads,
            .value_heads = GetParam().value_heads,
            .key_dim = GetParam().key_dim,
            .value_dim = GetParam().value_dim,
            .dt_bias = dt_bias_.data(),
            .a = a_.data()};
  }

  RecurrentBatch Batch() const {
    return {lengths_, value_heads_ * value_dim_, Spec().StateBytes(),
            [this](Operations& operations, std::span<const SequenceSpan> sequences, size_t offset,
                   float* out) {
              const auto stride = static_cast<ptrdiff_t>(stride_);
              const float* const at = projected_.data();
              operations.DeltaRule(Spec(),
                                   {.q = {at, stride},
                                    .k = {at + k_at_, stride},
                                    .v = {at + v_at_, stride},
                                    .decay = {at + decay_at_, stride},
                                    .beta = {at + beta_at_, stride}},
                                   sequences, offset, out);
            }};
  }

  // `count` columns of a row, divided by their norm.
  std::vector<double> Normalised(size_t row, size_t column) const {
    std::vector<double> values;
    double squares = 1e-6;
    for (size_t i = 0; i < key_dim_; ++i) {
      values.push_back(At(row, column + i));
      squares += values.back() * values.back();
    }
    for (double& value : values) value /= std::sqrt(squares);
    return values;
  }

  // The recurrence as the paper writes it: S_t = S_{t-1} (α (I - β k kᵀ)) + β v kᵀ, with S of
  // [value_dim, key_dim].
  std::vector<double> InDoubles() const {
    std::vector<double> out(rows_ * value_heads_ * value_dim_);
    size_t first = 0;
    for (const int length : lengths_) {
      for (size_t h = 0; h < value_heads_; ++h) {
        const size_t key_head = h / (value_heads_ / key_heads_) * key_dim_;
        std::vector<std::vector<double>> state(value_dim_, std::vector<double>(key_dim_, 0.0));
        for (size_t t = first; t < first + static_cast<size_t>(length); ++t) {
          const std::vector<double> q = Normalised(t, key_head);
          const std::vector<double> k = Normalised(t, k_at_ + key_head);
          const double beta = 1 / (1 + std::exp(-At(t, beta_at_ + h)));
          const double step =
              std::log1p(std::exp(At(t, decay_at_ + h) + static_cast<double>(dt_bias_[h])));
          const double alpha = std::exp(static_cast<double>(a_[h]) * step);
          for (size_t j = 0; j < value_dim_; ++j) {
            double recalled = 0;
            for (size_t i = 0; i < key_dim_; ++i) recalled += state[j][i] * k[i];
            double y = 0;
            for (size_t i = 0; i < key_dim_; ++i) {
              state[j][i] = alpha * (state[j][i] - beta * recalled * k[i]) +
                            beta * At(t, v_at_ + h * value_dim_ + j) * k[i];
              y += state[j][i] * q[i];
            }
            out[(t * value_heads_ + h) * value_dim_ + j] =
                y / std::sqrt(static_cast<double>(key_dim_));
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

TEST_P(DeltaRuleTest, IsNearTheReference) {
  const auto operations = MakeOperations(DetectIsa(), Compute::kFast, 2).value();
  EXPECT_LT(RelativeError(Batch().Run(*operations, 1000).out, InDoubles()), 1e-6);
}

TEST_P(DeltaRuleTest, HasTheSameBitsHoweverCut) { Batch().ExpectTheSameBitsHoweverCut(); }

TEST_P(DeltaRuleTest, HasTheSameBitsOnEveryIsa) { Batch().ExpectTheSameBitsOnEveryIsa(); }

INSTANTIATE_TEST_SUITE_P(All, DeltaRuleTest, testing::ValuesIn(kDeltaCases));

}  // namespace
}  // namespace reprise

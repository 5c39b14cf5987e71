// A gated feed-forward layer in one call has the bits of its steps one by one. Equality, no
// tolerance.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "kernels/elementwise.h"
#include "product_case.h"

namespace reprise {
namespace {

constexpr int kMaxRows = 385;  // one thread: three items, of 192 rows or fewer

struct GatedCase {
  Isa isa;
  Compute compute;
  WeightType gate;
  WeightType up;
  WeightType down;
  int64_t inner = 224;  // the last tile is not whole
  Activation activation = Activation::kSilu;
  bool has_gate = true;
};

std::string GatedName(const testing::TestParamInfo<GatedCase>& info) {
  return std::string(IsaName(info.param.isa)) +
         (info.param.compute == Compute::kExact ? "_exact_" : "_fast_") +
         std::string(WeightTypeName(info.param.gate)) + "_" +
         std::string(WeightTypeName(info.param.up)) + "_" +
         std::string(WeightTypeName(info.param.down)) + "_" + std::to_string(info.param.inner) +
         std::array{"_silu", "_gelu", "_relu2",
                    "_clamped"}[static_cast<size_t>(info.param.activation)] +
         (info.param.has_gate ? "" : "_without_gate");
}

std::vector<GatedCase> GatedCases() {
  std::vector<GatedCase> cases;
  for (Isa isa : OfferedIsas()) {
    using enum WeightType;
    cases.push_back({isa, Compute::kFast, kQ4_1, kQ4_1, kQ4_1});
    cases.push_back({isa, Compute::kFast, kQ5_0, kQ5_0, kQ8_0});
    cases.push_back({isa, Compute::kFast, kQ8_0, kBf16, kBf16});
    cases.push_back({isa, Compute::kFast, kF16, kF16, kBf16, 201});  // pairs of inputs are padded
    cases.push_back({isa, Compute::kFast, kQ4_1, kQ4_1, kQ4_0, 1504});  // items of many rows
    cases.push_back({isa, Compute::kExact, kQ4_1, kQ4_1, kF32});
    for (Compute compute : {Compute::kFast, Compute::kExact}) {
      using enum Activation;
      for (Activation activation : {kGelu, kRelu2, kClampedSilu}) {
        cases.push_back({isa, compute, kQ8_0, kQ8_0, kQ8_0, 224, activation});
      }
      for (Activation activation : {kSilu, kGelu, kRelu2}) {
        cases.push_back({isa, compute, kQ8_0, kQ8_0, kBf16, 224, activation, false});
      }
    }
  }
  return cases;
}

const ElementwiseKernels& KernelsOf(const GatedCase& of) {
  if (of.compute == Compute::kExact || of.isa == Isa::kPlain) return plain::kElementwise;
  return of.isa < Isa::kAvx512 ? avx2::kElementwise : avx512::kElementwise;
}

class GatedMatMulTest : public testing::TestWithParam<GatedCase> {
 protected:
  const int64_t columns_ = 96;
  const int64_t inner_ = GetParam().inner;
  const int64_t outputs_ = 76;
  const WeightCase gate_case_ = RandomWeights(GetParam().gate, inner_, columns_, 21);
  const WeightCase up_case_ = RandomWeights(GetParam().up, inner_, columns_, 22);
  const WeightCase down_case_ = RandomWeights(GetParam().down, outputs_, inner_, 23);
  std::vector<float> x_ = RandomRows(kMaxRows, columns_, 24);
  const std::vector<float> gate_bias_ = RandomRows(1, inner_, 25);
  const std::vector<float> up_bias_ = RandomRows(1, inner_, 26);
  const std::vector<float> down_bias_ = RandomRows(1, outputs_, 27);
  const std::unique_ptr<Operations> operations_ = Make(GetParam().isa, GetParam().compute, 2);
  const std::unique_ptr<Matrix> gate_ = operations_->Pack(gate_case_.view).value();
  const std::unique_ptr<Matrix> up_ = operations_->Pack(up_case_.view).value();
  const std::unique_ptr<Matrix> down_ = operations_->Pack(down_case_.view).value();

  GatedMatrices Matrices(bool biases) const {
    GatedMatrices ws = {.activation = GetParam().activation, .up = up_.get(), .down = down_.get()};
    if (GetParam().has_gate) ws.gate = gate_.get();
    if (biases) {
      if (GetParam().has_gate) ws.gate_bias = gate_bias_;
      ws.up_bias = up_bias_;
      ws.down_bias = down_bias_;
    }
    return ws;
  }

  std::vector<float> AtOnce(Operations& operations, const float* x, int rows, bool biases) const {
    std::vector<float> y(static_cast<size_t>(rows * outputs_), -1.0F);
    operations.GatedMatMul(x, rows, Matrices(biases), y.data());
    return y;
  }

  std::vector<float> StepByStep(int rows, bool biases) const {
    const ElementwiseKernels& kernels = KernelsOf(GetParam());
    const auto add = [&](std::vector<float>& y, const std::vector<float>& bias) {
      const auto width = static_cast<int64_t>(bias.size());
      for (int row = 0; biases && row < rows; ++row) {
        kernels.add(y.data() + row * width, bias.data(), width);
      }
    };
    std::vector<float> inner = Multiply(*operations_, *up_, x_.data(), rows);
    add(inner, up_bias_);
    if (GetParam().has_gate) {
      std::vector<float> gate = Multiply(*operations_, *gate_, x_.data(), rows);
      add(gate, gate_bias_);
      kernels.activate_gated(GetParam().activation, gate.data(), inner.data(), rows * inner_);
      inner = gate;
    } else {
      kernels.activate(GetParam().activation, inner.data(), rows * inner_);
    }
    std::vector<float> y = Multiply(*operations_, *down_, inner.data(), rows);
    add(y, down_bias_);
    return y;
  }

  // Σ_k w[n][k] x[k] + bias[n] for each n, and the root of the sum of all squares that are added.
  struct Sums {
    std::vector<double> values;
    std::vector<double> sizes;
  };
  static Sums ProductInDoubles(const Matrix& w, std::span<const double> x,
                               const std::vector<float>& bias) {
    Sums sums;
    std::vector<float> row(static_cast<size_t>(w.columns()));
    for (int64_t n = 0; n < w.rows(); ++n) {
      w.DequantizeRow(n, row.data());
      double sum = static_cast<double>(bias[static_cast<size_t>(n)]);
      double squares = sum * sum;
      for (size_t k = 0; k < row.size(); ++k) {
        const double term = static_cast<double>(row[k]) * x[k];
        sum += term;
        squares += term * term;
      }
      sums.values.push_back(sum);
      sums.sizes.push_back(std::sqrt(squares));
    }
    return sums;
  }

  static double ActivatedInDoubles(Activation activation, double x) {
    switch (activation) {
      case Activation::kSilu:
        return x / (1 + std::exp(-x));
      case Activation::kGelu:
        return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
      case Activation::kRelu2:
        return std::pow(std::max(x, 0.0), 2);
      case Activation::kClampedSilu:
        return std::min(x, 7.0) / (1 + std::exp(-1.702 * std::min(x, 7.0)));
    }
    return 0;
  }

  Sums InDoubles(const float* x) const {
    const Activation activation = GetParam().activation;
    const std::vector<double> row(x, x + columns_);
    std::vector<double> inner = ProductInDoubles(*up_, row, up_bias_).values;
    if (GetParam().has_gate) {
      const std::vector<double> gate = ProductInDoubles(*gate_, row, gate_bias_).values;
      for (size_t n = 0; n < inner.size(); ++n) {
        if (activation == Activation::kClampedSilu) inner[n] = std::clamp(inner[n], -7.0, 7.0) + 1;
        inner[n] *= ActivatedInDoubles(activation, gate[n]);
      }
    } else {
      for (double& value : inner) value = ActivatedInDoubles(activation, value);
    }
    return ProductInDoubles(*down_, inner, down_bias_);
  }

  static bool Same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }
};

TEST_P(GatedMatMulTest, IsItsStepsOneByOne) {
  for (int rows : {kMaxRows, 1, 2, 7, 24, 25, 64, 192, 193}) {
    for (bool biases : {false, true}) {
      EXPECT_TRUE(Same(AtOnce(*operations_, x_.data(), rows, biases), StepByStep(rows, biases)))
          << rows << " rows" << (biases ? " with biases" : "");
    }
  }
}

// Exact products round to f32 some ten times on the way to an element of the inner row; fast ones
// quantise x and the inner row to 1/127 of the largest of 32, or bf16 (docs/design/numerics.md).
TEST_P(GatedMatMulTest, IsNearTheDefinitionInDoubles) {
  const bool is_exact = GetParam().compute == Compute::kExact;
  const std::vector<float> y = AtOnce(*operations_, x_.data(), 8, true);
  double error = 0;
  double size = 0;
  for (int64_t row = 0; row < 8; ++row) {
    const Sums sums = InDoubles(x_.data() + row * columns_);
    for (size_t n = 0; n < sums.values.size(); ++n) {
      const double got = static_cast<double>(y[static_cast<size_t>(row * outputs_) + n]);
      error += std::pow(got - sums.values[n], 2);
      size += std::pow(sums.sizes[n], 2);
    }
  }
  EXPECT_LT(std::sqrt(error / size), is_exact ? 1e-6 : 0.04);
  RecordProperty("relative_error", std::to_string(std::sqrt(error / size)));
}

TEST_P(GatedMatMulTest, TheNumberOfThreadsChangesNothing) {
  for (int rows : {1, 7, 25, kMaxRows}) {
    const std::vector<float> two = AtOnce(*operations_, x_.data(), rows, true);
    for (int threads : {1, 3, 5}) {
      const auto others = Make(GetParam().isa, GetParam().compute, threads);
      EXPECT_TRUE(Same(AtOnce(*others, x_.data(), rows, true), two))
          << rows << " rows, " << threads << " threads";
    }
  }
}

TEST_P(GatedMatMulTest, NotANumberStaysInItsOwnRow) {
  const std::vector<float> before = AtOnce(*operations_, x_.data(), kMaxRows, false);
  constexpr int kBad = 130;
  x_[static_cast<size_t>(kBad * columns_ + 5)] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> after = AtOnce(*operations_, x_.data(), kMaxRows, false);
  const auto width = static_cast<size_t>(outputs_);
  for (size_t row = 0; row < kMaxRows; ++row) {
    const float* const now = after.data() + row * width;
    if (row == kBad) {
      EXPECT_TRUE(std::all_of(now, now + width, [](float y) { return std::isnan(y); }));
    } else {
      EXPECT_EQ(std::memcmp(now, before.data() + row * width, width * sizeof(float)), 0)
          << "row " << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GatedMatMulTest, testing::ValuesIn(GatedCases()), GatedName);

}  // namespace
}  // namespace reprise

// A gated feed-forward layer in one call has the bits of its steps one by one. Equality, no
// tolerance.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

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
};

std::string CaseName(const testing::TestParamInfo<GatedCase>& info) {
  return std::string(IsaName(info.param.isa)) +
         (info.param.compute == Compute::kExact ? "_exact_" : "_fast_") +
         std::string(WeightTypeName(info.param.gate)) + "_" +
         std::string(WeightTypeName(info.param.up)) + "_" +
         std::string(WeightTypeName(info.param.down)) + "_" + std::to_string(info.param.inner);
}

std::vector<GatedCase> Cases() {
  std::vector<GatedCase> cases;
  for (Isa isa : OfferedIsas()) {
    using enum WeightType;
    cases.push_back({isa, Compute::kFast, kQ4_1, kQ4_1, kQ4_1});
    cases.push_back({isa, Compute::kFast, kQ5_0, kQ5_0, kQ8_0});
    cases.push_back({isa, Compute::kFast, kQ8_0, kBf16, kBf16});
    cases.push_back({isa, Compute::kFast, kF16, kF16, kBf16, 201});  // pairs of inputs are padded
    cases.push_back({isa, Compute::kFast, kQ4_1, kQ4_1, kQ4_0, 1504});  // items of many rows
    cases.push_back({isa, Compute::kExact, kQ4_1, kQ4_1, kF32});
  }
  return cases;
}

const ElementwiseKernels& KernelsOf(const GatedCase& of) {
  if (of.compute == Compute::kExact || of.isa == Isa::kPlain) return plain::kElementwise;
  return of.isa == Isa::kAvx2 ? avx2::kElementwise : avx512::kElementwise;
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
  const std::unique_ptr<Operations> operations_ = Make(GetParam().isa, GetParam().compute, 2);
  const std::unique_ptr<Matrix> gate_ = operations_->Pack(gate_case_.view).value();
  const std::unique_ptr<Matrix> up_ = operations_->Pack(up_case_.view).value();
  const std::unique_ptr<Matrix> down_ = operations_->Pack(down_case_.view).value();

  GatedMatrices Matrices(bool biases) const {
    GatedMatrices ws = {.gate = gate_.get(), .up = up_.get(), .down = down_.get()};
    if (biases) {
      ws.gate_bias = gate_bias_;
      ws.up_bias = up_bias_;
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
    std::vector<float> gate = Multiply(*operations_, *gate_, x_.data(), rows);
    std::vector<float> up = Multiply(*operations_, *up_, x_.data(), rows);
    for (int64_t at = 0; biases && at < rows * inner_; at += inner_) {
      kernels.add(gate.data() + at, gate_bias_.data(), inner_);
      kernels.add(up.data() + at, up_bias_.data(), inner_);
    }
    kernels.swiglu(gate.data(), up.data(), rows * inner_);
    return Multiply(*operations_, *down_, gate.data(), rows);
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

INSTANTIATE_TEST_SUITE_P(All, GatedMatMulTest, testing::ValuesIn(Cases()), CaseName);

}  // namespace
}  // namespace reprise

// A gated feed-forward layer in one call has the bits of its steps one by one. Equality, no
// tolerance.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/elementwise.h"
#include "kernels/work_share.h"
#include "product_case.h"

namespace reprise {
namespace {

constexpr int kMaxRows = 300;

struct GatedCase {
  Isa isa;
  Compute compute;
  WeightType inner;
  WeightType outer;
};

std::string CaseName(const testing::TestParamInfo<GatedCase>& info) {
  return std::string(IsaName(info.param.isa)) +
         (info.param.compute == Compute::kExact ? "_exact_" : "_fast_") +
         std::string(WeightTypeName(info.param.inner)) + "_" +
         std::string(WeightTypeName(info.param.outer));
}

std::vector<GatedCase> Cases() {
  std::vector<GatedCase> cases;
  for (Isa isa : OfferedIsas()) {
    cases.push_back({isa, Compute::kFast, WeightType::kQ4_1, WeightType::kQ4_1});
    cases.push_back({isa, Compute::kFast, WeightType::kQ5_0, WeightType::kQ8_0});
    cases.push_back({isa, Compute::kFast, WeightType::kQ8_0, WeightType::kBf16});
    cases.push_back({isa, Compute::kFast, WeightType::kF16, WeightType::kQ4_0});
    cases.push_back({isa, Compute::kExact, WeightType::kQ4_1, WeightType::kF32});
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
  const int64_t inner_ = 224;  // the last tile is not whole
  const int64_t outputs_ = 76;
  const WeightCase gate_case_ = RandomWeights(GetParam().inner, inner_, columns_, 21);
  const WeightCase up_case_ = RandomWeights(GetParam().inner, inner_, columns_, 22);
  const WeightCase down_case_ = RandomWeights(GetParam().outer, outputs_, inner_, 23);
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
  for (int rows : {1, 2, 7, 24, 25, 64, 200, kMaxRows}) {
    for (bool biases : {false, true}) {
      EXPECT_TRUE(Same(AtOnce(*operations_, x_.data(), rows, biases), StepByStep(rows, biases)))
          << rows << " rows" << (biases ? " with biases" : "");
    }
  }
}

TEST_P(GatedMatMulTest, TheNumberOfThreadsChangesNothing) {
  const std::vector<float> two = AtOnce(*operations_, x_.data(), kMaxRows, true);
  for (int threads : {1, 3, 5}) {
    const auto others = Make(GetParam().isa, GetParam().compute, threads);
    EXPECT_TRUE(Same(AtOnce(*others, x_.data(), kMaxRows, true), two)) << threads << " threads";
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

TEST(WorkShareTest, EveryItemIsTakenOnceThoughAThreadNeverComes) {
  WorkShare work(3);
  for (int64_t count : {0, 1, 2, 7, 100}) {
    std::vector<int> taken(static_cast<size_t>(count));
    work.Reset(count);
    for (int thread : {2, 0}) {
      work.Take(thread, [&](int64_t item) { ++taken[static_cast<size_t>(item)]; });
    }
    EXPECT_EQ(taken, std::vector<int>(static_cast<size_t>(count), 1));
  }
}

TEST(WorkShareTest, AThreadBeginsWithItsOwnRun) {
  WorkShare work(2);
  work.Reset(10);
  std::vector<int64_t> order;
  work.Take(1, [&](int64_t item) { order.push_back(item); });
  EXPECT_EQ(order, (std::vector<int64_t>{5, 6, 7, 8, 9, 0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace reprise

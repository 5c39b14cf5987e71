// A mixture of experts has the bits of its experts' own products one by one, weighted and added in
// the order of the choices. Equality, no tolerance, but for the one comparison with doubles.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>

#include "base/sanitizers.h"
#include "product_case.h"

namespace reprise {
namespace {

constexpr int kMaxRows = 417;

struct ExpertsCase {
  Isa isa;
  Compute compute;
  WeightType inner;
  WeightType outer;
  Activation activation = Activation::kSilu;
  bool has_gate = true;
  int experts = 9;
};

std::string CaseName(const testing::TestParamInfo<ExpertsCase>& info) {
  return std::string(IsaName(info.param.isa)) +
         (info.param.compute == Compute::kExact ? "_exact_" : "_fast_") +
         std::string(WeightTypeName(info.param.inner)) + "_" +
         std::string(WeightTypeName(info.param.outer)) +
         std::array{"_silu", "_gelu", "_relu2",
                    "_clamped"}[static_cast<size_t>(info.param.activation)] +
         (info.param.has_gate ? "" : "_without_gate");
}

std::vector<ExpertsCase> Cases() {
  std::vector<ExpertsCase> cases;
  for (Isa isa : OfferedIsas()) {
    using enum WeightType;
    cases.push_back({isa, Compute::kFast, kQ4_1, kQ4_1});
    cases.push_back({isa, Compute::kFast, kQ5_0, kQ8_0, Activation::kClampedSilu});
    cases.push_back({isa, Compute::kFast, kBf16, kBf16, Activation::kGelu});
    cases.push_back({isa, Compute::kFast, kQ8_0, kBf16, Activation::kRelu2, false});
    cases.push_back({isa, Compute::kFast, kMXFP4, kMXFP4, Activation::kClampedSilu});
    cases.push_back({isa, Compute::kExact, kQ4_1, kF32, Activation::kClampedSilu});
  }
  return cases;
}

// The matrices of one expert, and their biases.
struct Expert {
  std::unique_ptr<Matrix> gate;
  std::unique_ptr<Matrix> up;
  std::unique_ptr<Matrix> down;
  std::vector<float> gate_bias;
  std::vector<float> up_bias;
  std::vector<float> down_bias;
};

class ExpertsTest : public testing::TestWithParam<ExpertsCase> {
 protected:
  static constexpr int64_t kColumns = 96;
  static constexpr int64_t kInner = 224;  // the last tile is not whole
  static constexpr int64_t kOutputs = 76;

  ExpertsTest() {
    for (int e = 0; e < GetParam().experts; ++e) {
      const auto seed = static_cast<unsigned>(10 * e);
      experts_.push_back({Pack(GetParam().inner, kInner, kColumns, seed),
                          Pack(GetParam().inner, kInner, kColumns, seed + 1),
                          Pack(GetParam().outer, kOutputs, kInner, seed + 2),
                          RandomRows(1, kInner, seed + 3), RandomRows(1, kInner, seed + 4),
                          RandomRows(1, kOutputs, seed + 5)});
    }
  }

  std::unique_ptr<Matrix> Pack(WeightType type, int64_t rows, int64_t columns, unsigned seed) {
    return operations_->Pack(RandomWeights(type, rows, columns, seed).view).value();
  }

  std::vector<GatedMatrices> Matrices(bool biases) const {
    std::vector<GatedMatrices> all;
    for (const Expert& expert : experts_) {
      GatedMatrices ws = {
          .activation = GetParam().activation, .up = expert.up.get(), .down = expert.down.get()};
      if (GetParam().has_gate) ws.gate = expert.gate.get();
      if (biases) {
        if (GetParam().has_gate) ws.gate_bias = expert.gate_bias;
        ws.up_bias = expert.up_bias;
        ws.down_bias = expert.down_bias;
      }
      all.push_back(ws);
    }
    return all;
  }

  // Different experts for each row, some far more often than others, weights of both signs.
  std::vector<ExpertChoice> RandomChoices(int rows, int each, unsigned seed) const {
    std::mt19937 random(seed);
    std::vector<ExpertChoice> choices;
    std::vector<int> order(static_cast<size_t>(GetParam().experts));
    for (int row = 0; row < rows; ++row) {
      std::iota(order.begin(), order.end(), 0);
      if (random() % 3 == 0) std::shuffle(order.begin(), order.end(), random);
      if (random() % 2 == 0) std::shuffle(order.begin(), order.begin() + each, random);
      for (int j = 0; j < each; ++j) {
        const float weight = static_cast<float>(random() % 1000) / 700.0F - 0.2F;
        choices.push_back({order[static_cast<size_t>(j)], weight});
      }
    }
    return choices;
  }

  static std::vector<float> AtOnce(Operations& operations, const float* x, int rows,
                                   std::span<const GatedMatrices> experts,
                                   std::span<const ExpertChoice> choices) {
    std::vector<float> y(static_cast<size_t>(rows * kOutputs), -1.0F);
    operations.ExpertsMatMul(x, rows, experts, choices, y.data());
    return y;
  }

  std::vector<float> OneByOne(const float* x, int rows, std::span<const GatedMatrices> experts,
                              std::span<const ExpertChoice> choices) const {
    std::vector<float> y(static_cast<size_t>(rows * kOutputs), 0.0F);
    const size_t each = choices.size() / static_cast<size_t>(rows);
    for (size_t i = 0; i < choices.size(); ++i) {
      const auto row = static_cast<int64_t>(i / each);
      std::vector<float> result(kOutputs);
      one_thread_->GatedMatMul(x + row * kColumns, 1,
                               experts[static_cast<size_t>(choices[i].expert)], result.data());
      for (int64_t n = 0; n < kOutputs; ++n) {
        y[static_cast<size_t>(row * kOutputs + n)] +=
            choices[i].weight * result[static_cast<size_t>(n)];
      }
    }
    return y;
  }

  static bool Same(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
  }

  const std::unique_ptr<Operations> operations_ = Make(GetParam().isa, GetParam().compute, 2);
  const std::unique_ptr<Operations> one_thread_ = Make(GetParam().isa, GetParam().compute, 1);
  std::vector<Expert> experts_;
  // Under sanitizers the plain loops take ten times as long as all the others.
  const int most_rows_ = kAddressSanitizer && GetParam().isa == Isa::kPlain ? 65 : kMaxRows;
  const std::vector<float> x_ = RandomRows(kMaxRows, kColumns, 7);
};

TEST_P(ExpertsTest, IsTheWeightedSumOfItsExpertsOneByOne) {
  for (const bool biases : {false, true}) {
    const std::vector<GatedMatrices> experts = Matrices(biases);
    for (const int rows : {most_rows_, 1, 5, 64}) {
      for (const int each : {1, 3, 8}) {
        const auto choices = RandomChoices(rows, each, static_cast<unsigned>(rows + each));
        EXPECT_TRUE(Same(AtOnce(*operations_, x_.data(), rows, experts, choices),
                         OneByOne(x_.data(), rows, experts, choices)))
            << rows << " rows, " << each << " choices each" << (biases ? ", biases" : "");
      }
    }
  }
}

TEST_P(ExpertsTest, TheNumberOfThreadsChangesNothing) {
  const std::vector<GatedMatrices> experts = Matrices(true);
  for (const int rows : {1, 7, most_rows_}) {
    const auto choices = RandomChoices(rows, 4, 5);
    const auto two = AtOnce(*operations_, x_.data(), rows, experts, choices);
    for (const int threads : {1, 3, 5}) {
      const auto others = Make(GetParam().isa, GetParam().compute, threads);
      EXPECT_TRUE(Same(AtOnce(*others, x_.data(), rows, experts, choices), two))
          << rows << " rows, " << threads << " threads";
    }
  }
}

TEST_P(ExpertsTest, ARowDoesNotDependOnWhatOthersChoose) {
  const std::vector<GatedMatrices> experts = Matrices(false);
  const auto mine = RandomChoices(1, 2, 11);
  const auto alone = AtOnce(*operations_, x_.data(), 1, experts, mine);
  for (const int expert : {mine[0].expert, 8}) {
    std::vector<ExpertChoice> choices(static_cast<size_t>(2 * most_rows_),
                                      {expert, 0.5F});  // all the same, twice
    std::copy(mine.begin(), mine.end(), choices.begin());
    const auto together = AtOnce(*operations_, x_.data(), most_rows_, experts, choices);
    EXPECT_TRUE(Same(std::span(together).first(kOutputs), alone));
  }
}

// gpt-oss's experts. The fast products' bound is that of GatedMatMulTest, here for sums of two.
class ClampedExpertsTest : public ExpertsTest {};

TEST_P(ClampedExpertsTest, IsNearTheDefinitionInDoubles) {
  constexpr int kRows = 6;
  const std::vector<GatedMatrices> experts = Matrices(true);
  const auto choices = RandomChoices(kRows, 2, 12);
  const auto y = AtOnce(*operations_, x_.data(), kRows, experts, choices);
  const auto product = [](const Matrix& w, std::span<const double> x, std::span<const float> bias) {
    std::vector<double> out;
    std::vector<float> row(static_cast<size_t>(w.columns()));
    for (int64_t n = 0; n < w.rows(); ++n) {
      w.DequantizeRow(n, row.data());
      double sum = static_cast<double>(bias[static_cast<size_t>(n)]);
      for (size_t k = 0; k < row.size(); ++k) sum += static_cast<double>(row[k]) * x[k];
      out.push_back(sum);
    }
    return out;
  };
  double error = 0;
  double size = 0;
  for (int row = 0; row < kRows; ++row) {
    const std::vector<double> x(x_.begin() + row * kColumns, x_.begin() + (row + 1) * kColumns);
    std::vector<double> expected(kOutputs, 0.0);
    for (int j = 0; j < 2; ++j) {
      const ExpertChoice& choice = choices[static_cast<size_t>(2 * row + j)];
      const GatedMatrices& ws = experts[static_cast<size_t>(choice.expert)];
      const std::vector<double> gate = product(*ws.gate, x, ws.gate_bias);
      std::vector<double> inner = product(*ws.up, x, ws.up_bias);
      for (size_t n = 0; n < inner.size(); ++n) {
        const double g = std::min(gate[n], 7.0);
        inner[n] = (std::clamp(inner[n], -7.0, 7.0) + 1) * g / (1 + std::exp(-1.702 * g));
      }
      const std::vector<double> result = product(*ws.down, inner, ws.down_bias);
      for (size_t n = 0; n < result.size(); ++n) {
        expected[n] += static_cast<double>(choice.weight) * result[n];
      }
    }
    for (size_t n = 0; n < expected.size(); ++n) {
      const auto got = static_cast<double>(y[static_cast<size_t>(row * kOutputs) + n]);
      error += std::pow(got - expected[n], 2);
      size += std::pow(expected[n], 2);
    }
  }
  EXPECT_LT(std::sqrt(error / size), GetParam().compute == Compute::kExact ? 1e-6 : 0.04);
  RecordProperty("relative_error", std::to_string(std::sqrt(error / size)));
}

std::vector<ExpertsCase> ClampedCases() {
  std::vector<ExpertsCase> cases = Cases();
  std::erase_if(cases,
                [](const ExpertsCase& of) { return of.activation != Activation::kClampedSilu; });
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, ExpertsTest, testing::ValuesIn(Cases()), CaseName);
INSTANTIATE_TEST_SUITE_P(All, ClampedExpertsTest, testing::ValuesIn(ClampedCases()), CaseName);

}  // namespace
}  // namespace reprise

// Products against double precision, with tolerances that follow from the arithmetic.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "product_case.h"

namespace reprise {
namespace {

constexpr double kHalfUlp = 0x1p-24;  // of f32, relative
constexpr int kGroup = 32;            // activations that share a scale

struct ProductCase {
  Isa isa;
  WeightType type;
};

std::string CaseName(const testing::TestParamInfo<ProductCase>& info) {
  return std::string(IsaName(info.param.isa)) + "_" + std::string(WeightTypeName(info.param.type));
}

std::vector<ProductCase> Cases(std::span<const WeightType> types) {
  std::vector<ProductCase> cases;
  for (Isa isa : OfferedIsas()) {
    for (WeightType type : types) cases.push_back({isa, type});
  }
  return cases;
}

// One output element in double precision: the product, and what its tolerance is made of.
struct Expected {
  double value = 0;
  double magnitude = 0;  // Σ|x·w|
};

Expected Dot(const std::vector<double>& x, const std::vector<float>& w) {
  Expected out;
  for (size_t k = 0; k < x.size(); ++k) {
    out.value += x[k] * static_cast<double>(w[k]);
    out.magnitude += std::abs(x[k] * static_cast<double>(w[k]));
  }
  return out;
}

// x as the formula quantises it: groups of 32, scale max|x| / 127, to nearest even.
std::vector<double> QuantizedRow(const float* x, int64_t columns) {
  std::vector<double> out(static_cast<size_t>(columns));
  for (int64_t start = 0; start < columns; start += kGroup) {
    float largest = 0;
    for (int i = 0; i < kGroup; ++i) largest = std::max(largest, std::abs(x[start + i]));
    const float inverse = 127.0F / largest;
    const float scale = largest / 127.0F;
    for (int i = 0; i < kGroup; ++i) {
      out[static_cast<size_t>(start + i)] =
          static_cast<double>(std::nearbyint(x[start + i] * inverse)) * static_cast<double>(scale);
    }
  }
  return out;
}

class QuantizedProductTest : public testing::TestWithParam<ProductCase> {
 protected:
  static constexpr int kRows = 21;
  const int64_t columns_ = HasSuperBlocks(GetParam().type) ? 768 : 608;
  const int64_t outputs_ = 200;  // not whole tiles
  const WeightCase weights_ = RandomWeights(GetParam().type, outputs_, columns_, 1);
  const std::vector<float> x_ = RandomRows(kRows, columns_, 2);
  const std::unique_ptr<Operations> operations_ = Make(GetParam().isa, Compute::kFast, 2);
  const std::unique_ptr<Matrix> matrix_ = operations_->Pack(weights_.view).value();

  std::vector<float> Row(int64_t row) const {
    std::vector<float> w(static_cast<size_t>(columns_));
    matrix_->DequantizeRow(row, w.data());
    return w;
  }
};

// Given the integers of x, all that is left to err is f32: each group of at most 32 inputs makes
// two sums and three products, each rounded once relative to a partial sum. A group's terms d·q·x
// and m·x may be larger than their sum w·x: for 8 bits by 128 + 128 against 1 at worst, so the
// magnitude is taken with |d·q| + |m|, bounded here by the row's largest |w| times 4.
TEST_P(QuantizedProductTest, IsTheFormulaUpToF32Rounding) {
  const std::vector<float> y = Multiply(*operations_, *matrix_, x_.data(), kRows);
  const double steps = 5.0 * static_cast<double>(columns_) / 16;
  for (int64_t n = 0; n < outputs_; ++n) {
    const std::vector<float> w = Row(n);
    const double largest = std::abs(*std::max_element(
        w.begin(), w.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
    for (int r = 0; r < kRows; ++r) {
      const std::vector<double> x = QuantizedRow(x_.data() + r * columns_, columns_);
      double sum = 0;
      for (double value : x) sum += std::abs(value);
      const double tolerance = steps * kHalfUlp * 4 * largest * sum;
      const auto got = static_cast<double>(y[static_cast<size_t>(r * outputs_ + n)]);
      ASSERT_NEAR(got, Dot(x, w).value, tolerance) << "row " << r << " output " << n;
    }
  }
}

// Rounding x to a group's scale s errs by s/2 at most for each input, so by Cauchy and Schwarz a
// product errs by ‖w‖ · sqrt(Σ over groups of 32 · (s/2)²) at most.
TEST_P(QuantizedProductTest, IsTheProductUpToTheQuantisationOfActivations) {
  const std::vector<float> y = Multiply(*operations_, *matrix_, x_.data(), kRows);
  for (int64_t n = 0; n < outputs_; ++n) {
    const std::vector<float> w = Row(n);
    double w_norm = 0;
    for (float value : w) w_norm += static_cast<double>(value) * static_cast<double>(value);
    for (int r = 0; r < kRows; ++r) {
      const float* const row = x_.data() + r * columns_;
      double error = 0;
      for (int64_t k = 0; k < columns_; k += kGroup) {
        double largest = 0;
        for (int i = 0; i < kGroup; ++i) {
          largest = std::max(largest, std::abs(static_cast<double>(row[k + i])));
        }
        error += kGroup * std::pow(largest / 127 / 2, 2);
      }
      const Expected expected = Dot({row, row + columns_}, w);
      const double tolerance = std::sqrt(w_norm * error) + 1000 * kHalfUlp * expected.magnitude;
      const auto got = static_cast<double>(y[static_cast<size_t>(r * outputs_ + n)]);
      ASSERT_NEAR(got, expected.value, tolerance) << "row " << r << " output " << n;
    }
  }
}

// Packed rows are the file's weights; only the super-blocks' factors are rounded to f16, each by
// 2^-11 relative (2^-25 where it is subnormal), and a weight has two of them.
TEST_P(QuantizedProductTest, PackedRowsAreTheFilesWeights) {
  std::vector<float> expected(static_cast<size_t>(columns_));
  const size_t row_bytes = weights_.data.size() / static_cast<size_t>(outputs_);
  for (int64_t n = 0; n < outputs_; ++n) {
    Dequantize(GetParam().type, weights_.data.data() + static_cast<size_t>(n) * row_bytes,
               expected.size(), expected.data());
    const std::vector<float> w = Row(n);
    if (!HasSuperBlocks(GetParam().type)) {
      ASSERT_EQ(w, expected);
      continue;
    }
    const float largest = *std::max_element(expected.begin(), expected.end());
    const float smallest = *std::min_element(expected.begin(), expected.end());
    const float range = std::max(std::abs(largest), std::abs(smallest)) * 4;
    for (size_t k = 0; k < w.size(); ++k) {
      ASSERT_NEAR(w[k], expected[k], range * 0x1p-11F + 128 * 0x1p-25F);
    }
  }
}

// All integers at their largest and of one sign: what 16-bit sums of products must survive.
TEST_P(QuantizedProductTest, TheLargestIntegersDoNotOverflow) {
  for (uint8_t bits : {uint8_t{0x00}, uint8_t{0x7f}, uint8_t{0x80}, uint8_t{0xff}}) {
    WeightCase weights = RandomWeights(GetParam().type, 64, 256, 7);
    const auto block_bytes =
        static_cast<size_t>(WeightBlockOf(static_cast<uint32_t>(GetParam().type))->bytes);
    for (size_t i = 0; i < weights.data.size(); ++i) {
      const size_t at = i % block_bytes;
      bool factor = false;
      for (const Factor& one : FactorsOf(GetParam().type)) {
        factor |= at >= one.at && at < one.at + one.bytes;
      }
      if (!factor) weights.data[i] = std::byte{bits};
    }
    const std::unique_ptr<Matrix> matrix = operations_->Pack(weights.view).value();
    std::vector<float> w(256);
    for (float value : {1.0F, -1.0F}) {
      const std::vector<float> x(256 * 9, value);
      const std::vector<float> y = Multiply(*operations_, *matrix, x.data(), 9);
      for (int64_t n = 0; n < 64; ++n) {
        matrix->DequantizeRow(n, w.data());
        const Expected expected = Dot(std::vector<double>(256, value), w);
        for (size_t r = 0; r < 9; ++r) {
          ASSERT_NEAR(y[r * 64 + static_cast<size_t>(n)], expected.value,
                      1e-4 * expected.magnitude + 1e-4);
        }
      }
    }
  }
}

TEST_P(QuantizedProductTest, ARowOfZerosGivesZeros) {
  const std::vector<float> x(static_cast<size_t>(columns_), 0.0F);
  for (float value : Multiply(*operations_, *matrix_, x.data(), 1)) EXPECT_EQ(value, 0.0F);
}

TEST_P(QuantizedProductTest, NotANumberStaysInItsOwnRow) {
  std::vector<float> x = x_;
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[static_cast<size_t>(4 * columns_ + 40)] = -std::numeric_limits<float>::infinity();
  const std::vector<float> clean = Multiply(*operations_, *matrix_, x_.data(), kRows);
  const std::vector<float> y = Multiply(*operations_, *matrix_, x.data(), kRows);
  for (int r = 0; r < kRows; ++r) {
    for (int64_t n = 0; n < outputs_; ++n) {
      const auto at = static_cast<size_t>(r * outputs_ + n);
      if (r == 0 || r == 4) {
        ASSERT_TRUE(std::isnan(y[at]));
      } else {
        ASSERT_EQ(y[at], clean[at]);
      }
    }
  }
}

TEST_P(QuantizedProductTest, TinyAndHugeActivationsKeepTheirSize) {
  for (float size : {1e-44F, 1e-32F, 1e-20F, 1e30F}) {
    std::vector<float> x(x_.begin(), x_.begin() + columns_);
    for (float& value : x) value = value < 0 ? -size : size;
    const std::vector<float> y = Multiply(*operations_, *matrix_, x.data(), 1);
    if (size < 0x1p-100F) x.assign(x.size(), 0.0F);  // counts as zero
    for (int64_t n = 0; n < outputs_; ++n) {
      const Expected expected = Dot({x.begin(), x.end()}, Row(n));
      ASSERT_NEAR(y[static_cast<size_t>(n)], expected.value, 1e-3 * expected.magnitude);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, QuantizedProductTest, testing::ValuesIn(Cases(kQuantizedTypes)),
                         CaseName);

class WideProductTest : public testing::TestWithParam<ProductCase> {};

// x and w rounded to bf16; then each of `columns` products errs by one rounding of a partial sum
// (twice where products and sums are rounded apart).
TEST_P(WideProductTest, IsTheProductOfBf16InputsUpToF32Rounding) {
  constexpr int kRows = 11;
  constexpr int64_t kOutputs = 130;
  const std::unique_ptr<Operations> operations = Make(GetParam().isa, Compute::kFast, 2);
  // Whatever an earlier call left in the scratch must not reach the padding of odd rows.
  const WeightCase earlier = RandomWeights(GetParam().type, 1, 1024, 3);
  const std::vector<float> nan(1024 * kRows, std::numeric_limits<float>::quiet_NaN());
  Multiply(*operations, *operations->Pack(earlier.view).value(), nan.data(), kRows);
  for (int64_t columns : {1, 7, 130, 577}) {
    SCOPED_TRACE(columns);
    const WeightCase weights = RandomWeights(GetParam().type, kOutputs, columns, 3);
    std::vector<float> x = RandomRows(kRows, columns, 4);
    const std::unique_ptr<Matrix> matrix = operations->Pack(weights.view).value();
    const std::vector<float> y = Multiply(*operations, *matrix, x.data(), kRows);
    for (float& value : x) value = FromBf16(ToBf16(value));
    std::vector<float> w(static_cast<size_t>(columns));
    for (int64_t n = 0; n < kOutputs; ++n) {
      matrix->DequantizeRow(n, w.data());
      for (int r = 0; r < kRows; ++r) {
        const float* const row = x.data() + r * columns;
        const Expected expected = Dot({row, row + columns}, w);
        const auto got = static_cast<double>(y[static_cast<size_t>(r * kOutputs + n)]);
        const double tolerance = 2 * static_cast<double>(columns) * kHalfUlp * expected.magnitude;
        ASSERT_NEAR(got, expected.value, tolerance + 1e-30) << "row " << r << " output " << n;
      }
    }
  }
}

TEST_P(WideProductTest, PackedRowsAreTheFilesWeightsRoundedToBf16) {
  const WeightCase weights = RandomWeights(GetParam().type, 70, 33, 5);
  const std::unique_ptr<Operations> operations = Make(GetParam().isa, Compute::kFast, 1);
  const std::unique_ptr<Matrix> matrix = operations->Pack(weights.view).value();
  std::vector<float> all(70 * 33);
  Dequantize(GetParam().type, weights.data.data(), all.size(), all.data());
  std::vector<float> w(33);
  for (int64_t n = 0; n < 70; ++n) {
    matrix->DequantizeRow(n, w.data());
    for (size_t k = 0; k < w.size(); ++k) {
      ASSERT_EQ(w[k], FromBf16(ToBf16(all[static_cast<size_t>(n) * 33 + k])));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, WideProductTest, testing::ValuesIn(Cases(kWideTypes)), CaseName);

TEST(PackTest, ColumnsThatAreNotWholeBlocksAreRefused) {
  const std::vector<std::byte> data(1024);
  const std::unique_ptr<Operations> operations = Make(Isa::kPlain, Compute::kFast, 1);
  const auto packed = operations->Pack({WeightType::kQ4_K, data.data(), 1, 288});
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().code, ErrorCode::kUnsupported);
}

// What decode is bound by. Of types that are products of several factors it is a little more than
// in the file, of those of a grid up to twice as much.
TEST(PackTest, PackedWeightsTakeTheBitsOfTheTable) {
  using enum WeightType;
  const std::pair<WeightType, double> kBits[] = {
      {kQ4_0, 4.5},   {kQ4_1, 5},      {kQ5_0, 5.5}, {kQ5_1, 6},  {kQ8_0, 8.5},    {kQ2_K, 4},
      {kQ3_K, 4},     {kQ4_K, 5},      {kQ5_K, 6},   {kQ6_K, 7},  {kQ8_K, 8.5},    {kIQ1_S, 3.5},
      {kIQ1_M, 4},    {kIQ2_XXS, 3.5}, {kIQ2_XS, 4}, {kIQ2_S, 4}, {kIQ3_XXS, 4.5}, {kIQ3_S, 4.5},
      {kIQ4_NL, 4.5}, {kIQ4_XS, 4.5},  {kMXFP4, 4.5}};
  ASSERT_EQ(std::size(kBits), std::size(kQuantizedTypes));
  const std::unique_ptr<Operations> operations = Make(Isa::kPlain, Compute::kFast, 1);
  for (const auto& [type, bits] : kBits) {
    const WeightCase weights = RandomWeights(type, 128, 512, 6);
    const auto matrix = operations->Pack(weights.view).value();
    EXPECT_EQ(static_cast<double>(matrix->bytes()) * 8 / (128 * 512), bits) << WeightTypeName(type);
    EXPECT_EQ(matrix->bytes(), PackedBytes(type, 128, 512)) << WeightTypeName(type);
  }
}

class WideFactorTest : public testing::TestWithParam<Isa> {
 protected:
  static constexpr int64_t kOutputs = 70;
  static constexpr int64_t kColumns = 256;

  // Random codes, the factor of each block as `factor` says.
  template <typename FactorOfBlock>
  void Fill(WeightType type, FactorOfBlock factor) {
    weights_ = RandomWeights(type, kOutputs, kColumns, 31);
    const auto block = *WeightBlockOf(static_cast<uint32_t>(type));
    const auto bytes = static_cast<size_t>(block.bytes);
    for (size_t i = 0; i * bytes < weights_.data.size(); ++i) {
      PutFactor(type, factor(i), weights_.data.data() + i * bytes);
    }
    matrix_ = operations_->Pack(weights_.view).value();
    truth_.resize(static_cast<size_t>(kOutputs * kColumns));
    Dequantize(type, weights_.data.data(), truth_.size(), truth_.data());
  }

  std::vector<float> Row(int64_t n) const {
    std::vector<float> w(static_cast<size_t>(kColumns));
    matrix_->DequantizeRow(n, w.data());
    return w;
  }
  std::vector<float> TrueRow(int64_t n) const {
    const auto first = truth_.begin() + n * kColumns;
    return {first, first + kColumns};
  }

  const std::unique_ptr<Operations> operations_ = Make(GetParam(), Compute::kFast, 2);
  WeightCase weights_;
  std::unique_ptr<Matrix> matrix_;
  std::vector<float> truth_;
};

TEST_P(WideFactorTest, MatricesOfAnySizeAreExactInMxfp4) {
  for (int exponent : {-127, -126, -100, -40, -24, 0, 15, 16, 60, 120}) {
    SCOPED_TRACE(exponent);
    Fill(WeightType::kMXFP4, [&](size_t i) {
      return std::ldexp(1.0F, std::max(-127, exponent - static_cast<int>(i % 7)));
    });
    // One input of a size that keeps products normal: nothing is rounded but the sums of one term.
    std::vector<float> x(static_cast<size_t>(kColumns), 0.0F);
    x[100] = std::ldexp(127.0F, exponent < 0 ? 60 : -60);
    const std::vector<float> y = Multiply(*operations_, *matrix_, x.data(), 1);
    for (int64_t n = 0; n < kOutputs; ++n) {
      ASSERT_EQ(Row(n), TrueRow(n));
      ASSERT_EQ(y[static_cast<size_t>(n)], x[100] * TrueRow(n)[100]);
    }
  }
}

TEST_P(WideFactorTest, FactorsFarBelowTheLargestBecomeZero) {
  Fill(WeightType::kMXFP4, [](size_t i) {
    return std::ldexp(1.0F, i == 0 ? 10 : i % 2 == 0 ? -14 : -16);
  });
  for (int64_t n = 0; n < kOutputs; ++n) {
    const std::vector<float> w = Row(n);
    const std::vector<float> expected = TrueRow(n);
    for (size_t k = 0; k < w.size(); ++k) {
      ASSERT_EQ(w[k], k / 32 % 2 == 0 ? expected[k] : 0.0F) << n << ", " << k;
    }
  }
}

TEST_P(WideFactorTest, MatricesOfAnySizeKeepElevenBitsInQ8K) {
  for (float size : {1e-36F, 1e-20F, 1e-5F, 1.0F, 1e5F, 1e20F, 1e35F}) {
    SCOPED_TRACE(size);
    Fill(WeightType::kQ8_K, [&](size_t i) {
      return size * static_cast<float>(1.0 + 0.37 * static_cast<double>(i % 9));
    });
    for (int64_t n = 0; n < kOutputs; ++n) {
      const std::vector<float> w = Row(n);
      const std::vector<float> expected = TrueRow(n);
      for (size_t k = 0; k < w.size(); ++k) {
        ASSERT_NEAR(w[k] / size, expected[k] / size, std::abs(expected[k] / size) * 0x1p-11F);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, WideFactorTest, testing::ValuesIn(OfferedIsas()),
                         [](const testing::TestParamInfo<Isa>& isa) {
                           return std::string(IsaName(isa.param));
                         });

}  // namespace
}  // namespace reprise

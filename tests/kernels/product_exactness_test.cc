// The signature of this project: a row's product has the same bits whatever is computed beside it.
// Equality, no tolerance.

#include <gtest/gtest.h>

#include <cstring>
#include <iterator>
#include <numeric>

#include "product_case.h"

namespace reprise {
namespace {

constexpr int kExactnessRows = 300;

struct ExactnessCase {
  Isa isa;
  Compute compute;
  WeightType type;
};

std::string ExactnessName(const testing::TestParamInfo<ExactnessCase>& info) {
  return std::string(IsaName(info.param.isa)) +
         (info.param.compute == Compute::kExact ? "_exact_" : "_fast_") +
         std::string(WeightTypeName(info.param.type));
}

std::vector<ExactnessCase> ExactnessCases() {
  std::vector<ExactnessCase> cases;
  for (Isa isa : OfferedIsas()) {
    for (WeightType type : kQuantizedTypes) cases.push_back({isa, Compute::kFast, type});
    for (WeightType type : kWideTypes) cases.push_back({isa, Compute::kFast, type});
    cases.push_back({isa, Compute::kExact, WeightType::kQ4_1});
    cases.push_back({isa, Compute::kExact, WeightType::kF32});
    cases.push_back({isa, Compute::kExact, WeightType::kMXFP4});
    cases.push_back({isa, Compute::kExact, WeightType::kIQ3_S});
  }
  return cases;
}

// Bits, so that NaN equals itself and 0 is not -0.
testing::AssertionResult SameBits(const float* a, const float* b, size_t count) {
  if (std::memcmp(a, b, count * sizeof(float)) == 0) return testing::AssertionSuccess();
  size_t at = 0;
  while (std::memcmp(a + at, b + at, sizeof(float)) == 0) ++at;
  return testing::AssertionFailure() << "element " << at << ": " << a[at] << " and " << b[at];
}

class ProductExactnessTest : public testing::TestWithParam<ExactnessCase> {
 protected:
  // Not whole runs of unpacked groups, not whole tiles.
  const int64_t columns_ = HasSuperBlocks(GetParam().type) ? 512 : 416;
  const int64_t outputs_ = 76;
  const size_t width_ = static_cast<size_t>(outputs_);
  const WeightCase weights_ = RandomWeights(GetParam().type, outputs_, columns_, 11);
  const std::vector<float> x_ = RandomRows(kExactnessRows, columns_, 12);
  const std::unique_ptr<Operations> operations_ = Make(GetParam().isa, GetParam().compute, 2);
  const std::unique_ptr<Matrix> matrix_ = operations_->Pack(weights_.view).value();
  const std::vector<float> all_ = Multiply(*operations_, *matrix_, x_.data(), kExactnessRows);

  void ExpectSame(Operations& operations, int first, int rows) const {
    const std::vector<float> y = Multiply(operations, *matrix_, x_.data() + first * columns_, rows);
    EXPECT_TRUE(SameBits(y.data(), all_.data() + static_cast<size_t>(first) * width_, y.size()))
        << "rows " << first << " .. " << first + rows - 1;
  }
};

TEST_P(ProductExactnessTest, ARowHasTheSameBitsAmongAnyNumberOfRows) {
  for (int rows = 1; rows <= 40; ++rows) ExpectSame(*operations_, 0, rows);
  ExpectSame(*operations_, 0, 129);
  ExpectSame(*operations_, 0, 200);
}

TEST_P(ProductExactnessTest, ARowHasTheSameBitsWhereverThePromptIsCut) {
  for (int first : {1, 3, 4, 63, 191, 299}) {
    for (int rows : {1, 2, 5, 9, 37, 101}) {
      if (first + rows <= kExactnessRows) ExpectSame(*operations_, first, rows);
    }
  }
}

TEST_P(ProductExactnessTest, TheNumberOfThreadsChangesNothing) {
  for (int threads : {1, 3, 5}) {
    const std::unique_ptr<Operations> others = Make(GetParam().isa, GetParam().compute, threads);
    for (int rows : {1, 7, 33, kExactnessRows}) ExpectSame(*others, 0, rows);
  }
}

TEST_P(ProductExactnessTest, MatricesThatShareActivationsDoNotChangeEachOther) {
  const WeightType other_type =
      GetParam().type == WeightType::kF32 ? WeightType::kQ4_1 : WeightType::kF32;
  const WeightCase other_weights = RandomWeights(other_type, 130, columns_, 13);
  const std::unique_ptr<Matrix> other = operations_->Pack(other_weights.view).value();
  for (int rows : {1, 6, 70}) {
    std::vector<float> y0(130 * static_cast<size_t>(rows));
    std::vector<float> y1(width_ * static_cast<size_t>(rows));
    std::vector<float> y2(width_ * static_cast<size_t>(rows));
    const Matrix* const ws[] = {other.get(), matrix_.get(), matrix_.get()};
    float* const ys[] = {y0.data(), y1.data(), y2.data()};
    operations_->MatMul(x_.data(), rows, ws, ys);
    EXPECT_TRUE(SameBits(y1.data(), all_.data(), y1.size()));
    EXPECT_TRUE(SameBits(y2.data(), all_.data(), y2.size()));
    const std::vector<float> alone = Multiply(*operations_, *other, x_.data(), rows);
    EXPECT_TRUE(SameBits(y0.data(), alone.data(), y0.size()));
  }
}

INSTANTIATE_TEST_SUITE_P(All, ProductExactnessTest, testing::ValuesIn(ExactnessCases()),
                         ExactnessName);

// AVX-VNNI forms a group's integers by other instructions than AVX2; they are exact either way.
TEST(AvxVnniProductTest, HasTheBitsOfAvx2InEveryType) {
  if (!CpuOffers(Isa::kAvxVnni)) GTEST_SKIP() << "this CPU lacks AVX-VNNI";
  ASSERT_EQ(BitsOf(Isa::kAvxVnni), IsaName(Isa::kAvx2));
  std::vector<WeightType> types(std::begin(kQuantizedTypes), std::end(kQuantizedTypes));
  types.insert(types.end(), std::begin(kWideTypes), std::end(kWideTypes));
  const auto vnni = Make(Isa::kAvxVnni, Compute::kFast, 1);
  const auto avx2 = Make(Isa::kAvx2, Compute::kFast, 1);
  for (WeightType type : types) {
    const int64_t columns = HasSuperBlocks(type) ? 768 : 608;
    const WeightCase weights = RandomWeights(type, 140, columns, 31);
    const auto matrix = vnni->Pack(weights.view).value();
    for (int rows : {1, 2, 3, 4, 5, 24, 25, 26, 27, 128}) {
      const std::vector<float> x = RandomRows(rows, columns, 32);
      const std::vector<float> expected = Multiply(*avx2, *matrix, x.data(), rows);
      const std::vector<float> y = Multiply(*vnni, *matrix, x.data(), rows);
      EXPECT_TRUE(SameBits(y.data(), expected.data(), y.size()))
          << WeightTypeName(type) << ", " << rows << " rows";
    }
  }
}

// Items of 192 rows and a last tile that is not whole, whose results pass through scratch.
TEST(WideMatrixTest, LongItemsHaveTheBitsOfSingleRows) {
  constexpr int kRows = 385;
  constexpr int64_t kColumns = 64;
  constexpr int64_t kOutputs = 1500;
  const WeightCase weights = RandomWeights(WeightType::kQ4_1, kOutputs, kColumns, 13);
  const std::vector<float> x = RandomRows(kRows, kColumns, 14);
  for (Isa isa : OfferedIsas()) {
    const auto operations = Make(isa, Compute::kFast, 1);
    const auto matrix = operations->Pack(weights.view).value();
    const std::vector<float> all = Multiply(*operations, *matrix, x.data(), kRows);
    for (int row : {0, 127, 128, 191, 192, 384}) {
      const std::vector<float> one = Multiply(*operations, *matrix, x.data() + row * kColumns, 1);
      EXPECT_TRUE(SameBits(one.data(), all.data() + row * kOutputs, one.size()))
          << IsaName(isa) << ", row " << row;
    }
  }
}

TEST(ExactProductTest, EveryInstructionSetGivesTheSameBits) {
  const WeightCase weights = RandomWeights(WeightType::kQ4_1, 70, 576, 21);
  const std::vector<float> x = RandomRows(5, 576, 22);
  std::vector<float> first;
  for (Isa isa : OfferedIsas()) {
    const std::unique_ptr<Operations> operations = Make(isa, Compute::kExact, 2);
    const std::unique_ptr<Matrix> matrix = operations->Pack(weights.view).value();
    const std::vector<float> y = Multiply(*operations, *matrix, x.data(), 5);
    if (first.empty()) first = y;
    EXPECT_TRUE(SameBits(y.data(), first.data(), y.size())) << IsaName(isa);
  }
}

// 16 partial sums of n/16 products, folded in 4 steps: an element errs by (n/16 + 5) roundings of
// Σ|x·w| at most.
TEST(ExactProductTest, IsTheProductWithTheFilesWeightsUpToF32Rounding) {
  constexpr int64_t kColumns = 576;
  for (WeightType type : {WeightType::kQ4_1, WeightType::kQ8_0, WeightType::kF16}) {
    const WeightCase weights = RandomWeights(type, 33, kColumns, 23);
    const std::vector<float> x = RandomRows(3, kColumns, 24);
    const std::unique_ptr<Operations> operations = Make(Isa::kPlain, Compute::kExact, 2);
    const std::unique_ptr<Matrix> matrix = operations->Pack(weights.view).value();
    const std::vector<float> y = Multiply(*operations, *matrix, x.data(), 3);
    std::vector<float> w(33 * kColumns);
    Dequantize(type, weights.data.data(), w.size(), w.data());
    for (size_t r = 0; r < 3; ++r) {
      for (size_t n = 0; n < 33; ++n) {
        double expected = 0;
        double magnitude = 0;
        for (size_t k = 0; k < kColumns; ++k) {
          const double product =
              static_cast<double>(x[r * kColumns + k]) * static_cast<double>(w[n * kColumns + k]);
          expected += product;
          magnitude += std::abs(product);
        }
        EXPECT_NEAR(static_cast<double>(y[r * 33 + n]), expected,
                    (kColumns / 16 + 5) * 0x1p-24 * magnitude);
      }
    }
  }
}

}  // namespace
}  // namespace reprise

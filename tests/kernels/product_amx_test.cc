// Products by tiles: quantised weights have the bits of avx512's, 16-bit weights those of the order
// that product_bf16_amx.h states, computed here one element at a time; tiles of hardware and
// emulated ones agree. Equality, no tolerance.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "flushed_fma.h"
#include "product_case.h"

namespace reprise {
namespace {

constexpr int kManyRows = 100;

bool SameFloats(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Rows of zeros, of huge and of tiny numbers, with infinities and NaN among those of usual size.
std::vector<float> UnusualRows(int rows, int64_t columns) {
  std::vector<float> x = RandomRows(rows, columns, 31);
  const auto width = static_cast<size_t>(columns);
  for (size_t i = 0; i < width; ++i) {
    x[3 * width + i] = 0;
    x[4 * width + i] *= 1e30F;
    x[5 * width + i] *= 1e-33F;
    x[6 * width + i] *= i % 64 < 32 ? 1e-38F : 1;
    if (i % 97 == 0) x[7 * width + i] = std::numeric_limits<float>::quiet_NaN();
    if (i % 89 == 0) x[40 * width + i] = std::numeric_limits<float>::infinity();
  }
  return x;
}

class AmxProductTest : public testing::TestWithParam<WeightType> {
 protected:
  void SetUp() override {
    if (!CpuOffers(Isa::kAmxEmulated)) GTEST_SKIP() << "this CPU has no AVX-512";
  }

  // One group, an odd number, and one more than are unpacked at once; but super-blocks are whole.
  static std::vector<int64_t> Columns() {
    if (HasSuperBlocks(GetParam())) return {256, 2304};
    return {32, 64, 416, 2080};
  }
};

std::string TypeName(const testing::TestParamInfo<WeightType>& info) {
  return std::string(WeightTypeName(info.param));
}

TEST_P(AmxProductTest, HasTheBitsOfAvx512) {
  const auto avx512 = Make(Isa::kAvx512, Compute::kFast, 2);
  const auto emulated = Make(Isa::kAmxEmulated, Compute::kFast, 2);
  for (const int64_t columns : Columns()) {
    const WeightCase weights = RandomWeights(GetParam(), 76, columns, 32);
    const auto w = avx512->Pack(weights.view).value();
    const auto same_w = emulated->Pack(weights.view).value();
    const std::vector<float> x = UnusualRows(kManyRows, columns);
    for (const int rows : {1, 31, 32, 33, 47, 48, kManyRows}) {
      EXPECT_TRUE(SameFloats(Multiply(*avx512, *w, x.data(), rows),
                             Multiply(*emulated, *same_w, x.data(), rows)))
          << columns << " columns, " << rows << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AmxProductTest, testing::ValuesIn(kQuantizedTypes), TypeName);

class AmxWideProductTest : public testing::TestWithParam<WeightType> {
 protected:
  void SetUp() override {
    if (!CpuOffers(Isa::kAmxEmulated)) GTEST_SKIP() << "this CPU has no AVX-512";
  }
};

// Of one row: for each run of 32 inputs acc += even + odd.
std::vector<float> InTheOrderOfTiles(const Matrix& w, const float* x) {
  std::vector<float> y;
  std::vector<float> weights(static_cast<size_t>(w.columns()));
  for (int64_t n = 0; n < w.rows(); ++n) {
    w.DequantizeRow(n, weights.data());
    float acc = 0;
    for (int64_t first = 0; first < w.columns(); first += 32) {
      float sums[2] = {0, 0};
      for (int64_t k = first; k < first + 32; ++k) {
        const bool is_inside = k < w.columns();
        const float x_k = is_inside ? FromBf16(ToBf16(DenormalAsZero(x[k]))) : 0;
        const float w_k = is_inside ? weights[static_cast<size_t>(k)] : 0;
        sums[k % 2] = FlushedFma(x_k, w_k, sums[k % 2]);
      }
      acc = FlushedFma(acc, 1, FlushedFma(sums[0], 1, sums[1]));
    }
    y.push_back(acc);
  }
  return y;
}

TEST_P(AmxWideProductTest, IsSummedInTheOrderOfTiles) {
  const auto operations = Make(Isa::kAmxEmulated, Compute::kFast, 2);
  // Leaves infinities where later rows end.
  const WeightCase any = RandomWeights(GetParam(), 64, 1024, 33);
  const std::vector<float> infinite(37 * 1024, std::numeric_limits<float>::infinity());
  Multiply(*operations, *operations->Pack(any.view).value(), infinite.data(), 37);
  // The last has more than one run of steps (product_bf16_amx.h).
  for (const int64_t columns : {1, 31, 32, 71, 577, 4161}) {
    const WeightCase weights = RandomWeights(GetParam(), 76, columns, 33);
    const auto w = operations->Pack(weights.view).value();
    std::vector<float> x = RandomRows(37, columns, 34);
    // The second row's products lie about the smallest normal number.
    for (int64_t i = 0; i < columns; ++i) x[static_cast<size_t>(columns + i)] *= 0x1p-123F;
    const std::vector<float> y = Multiply(*operations, *w, x.data(), 37);
    for (const int row : {0, 1, 36}) {
      const std::vector<float> expected = InTheOrderOfTiles(*w, x.data() + row * columns);
      EXPECT_TRUE(SameFloats(expected, {y.begin() + row * 76, y.begin() + (row + 1) * 76}))
          << columns << " columns, row " << row;
    }
  }
}

TEST_P(AmxWideProductTest, ARowHasTheSameBitsAloneAndAmongUpTo100) {
  const auto operations = Make(Isa::kAmxEmulated, Compute::kFast, 2);
  for (const int64_t columns : {71, 96}) {
    const WeightCase weights = RandomWeights(GetParam(), 76, columns, 35);
    const auto w = operations->Pack(weights.view).value();
    std::vector<float> x = RandomRows(kManyRows, columns, 36);
    for (int64_t i = 0; i < columns; ++i) x[static_cast<size_t>(columns + i)] *= 0x1p-123F;
    std::vector<float> alone;
    for (int row = 0; row < kManyRows; ++row) {
      const std::vector<float> y = Multiply(*operations, *w, x.data() + row * columns, 1);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    for (int rows = 1; rows <= kManyRows; ++rows) {
      const std::vector<float> y = Multiply(*operations, *w, x.data(), rows);
      EXPECT_EQ(std::memcmp(alone.data(), y.data(), y.size() * sizeof(float)), 0)
          << columns << " columns, " << rows << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AmxWideProductTest, testing::ValuesIn(kWideTypes), TypeName);

TEST(AmxHardwareTest, ProductsAreThoseOfTheEmulation) {
  if (!CpuOffers(Isa::kAmx)) GTEST_SKIP() << ParseIsa("amx").error().message;
  const auto hardware = Make(Isa::kAmx, Compute::kFast, 2);
  const auto emulated = Make(Isa::kAmxEmulated, Compute::kFast, 2);
  std::vector<WeightType> types(std::begin(kQuantizedTypes), std::end(kQuantizedTypes));
  types.insert(types.end(), std::begin(kWideTypes), std::end(kWideTypes));
  for (const WeightType type : types) {
    const WeightCase weights = RandomWeights(type, 140, 2304, 37);
    const auto w = hardware->Pack(weights.view).value();
    const auto same_w = emulated->Pack(weights.view).value();
    const std::vector<float> x = RandomRows(200, 2304, 38);
    for (const int rows : {1, 4, 5, 31, 32, 49, 200}) {
      EXPECT_TRUE(SameFloats(Multiply(*hardware, *w, x.data(), rows),
                             Multiply(*emulated, *same_w, x.data(), rows)))
          << WeightTypeName(type) << ", " << rows << " rows";
    }
  }
}

}  // namespace
}  // namespace reprise

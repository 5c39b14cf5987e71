// Norm, rotary embedding, sum and exp of each instruction set, against double precision
// and, bit for bit, against themselves beside other rows.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "elementwise_case.h"

namespace reprise {
namespace {

// Distance of `got` from `exact` in units of the last place of f32 at `exact`.
double Ulps(float got, double exact) {
  const int exponent = std::max(std::ilogb(exact), -126);
  return std::abs(static_cast<double>(got) - exact) / std::ldexp(1.0, exponent - 23);
}

TEST(ExpTest, IsWithinTwoUlpOverTheWholeRange) {
  // Every 1,021st float from the least normal result to overflow, both signs.
  std::vector<float> inputs;
  for (uint32_t bits = 0; bits < std::bit_cast<uint32_t>(88.72283F); bits += 1021) {
    const float x = std::bit_cast<float>(bits);
    inputs.push_back(x);
    if (x < 87.33654F) inputs.push_back(-x);
  }
  std::vector<float> outputs(inputs.size());
  for (const Variant& variant : Variants()) {
    variant.kernels.exp(inputs.data(), inputs.size(), outputs.data());
    double worst = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const double ulps = Ulps(outputs[i], std::exp(static_cast<double>(inputs[i])));
      ASSERT_LE(ulps, 2.0) << variant.name << " at " << inputs[i];
      worst = std::max(worst, ulps);
    }
    RecordProperty("worst_ulp_" + variant.name, std::to_string(worst));
  }
}

TEST(ExpTest, IsExactWhereAttentionReliesOnIt) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float inputs[] = {0.0F,
                          -0.0F,
                          -kInfinity,
                          kInfinity,
                          std::numeric_limits<float>::lowest(),
                          -104.0F,
                          89.0F,
                          std::numeric_limits<float>::quiet_NaN()};
  for (const Variant& variant : Variants()) {
    SCOPED_TRACE(variant.name);
    float out[std::size(inputs)];
    variant.kernels.exp(inputs, std::size(inputs), out);
    EXPECT_EQ(out[0], 1.0F) << "the largest score of a partition has the weight 1";
    EXPECT_EQ(out[1], 1.0F);
    EXPECT_EQ(Bits(out + 2, 1)[0], 0U) << "no partition yet: weight +0";
    EXPECT_EQ(out[3], kInfinity);
    EXPECT_EQ(Bits(out + 4, 1)[0], 0U);
    EXPECT_EQ(out[5], 0.0F);
    EXPECT_EQ(out[6], kInfinity);
    EXPECT_TRUE(std::isnan(out[7]));
  }
}

TEST(ExpTest, OfAnElementDoesNotDependOnItsLane) {
  const std::vector<float> inputs = RandomFloats(61, 1);
  for (const Variant& variant : Variants()) {
    std::vector<float> all(inputs.size());
    variant.kernels.exp(inputs.data(), inputs.size(), all.data());
    for (size_t i = 0; i < inputs.size(); ++i) {
      float one = 0;
      variant.kernels.exp(&inputs[i], 1, &one);
      ASSERT_EQ(Bits(&one, 1), Bits(&all[i], 1)) << variant.name << ", element " << i;
    }
  }
}

// f32 sum of n squares: relative error at most n 2^-24; then a root, a quotient and two products.
TEST(RmsNormTest, IsNearTheReference) {
  for (const Variant& variant : Variants()) {
    for (const int columns : {1, 7, 16, 31, 576, 1000, 4096}) {
      const size_t n = static_cast<size_t>(columns);
      const std::vector<float> x = RandomFloats(n, 2);
      const std::vector<float> weight = RandomFloats(n, 3);
      std::vector<float> out(n);
      RmsNorm(PoolOf(2), variant.kernels, x.data(), 1, columns, weight.data(), kEpsilon,
              out.data());
      double squares = 0;
      for (const float value : x)
        squares += static_cast<double>(value) * static_cast<double>(value);
      const double root = std::sqrt(squares / columns + static_cast<double>(kEpsilon));
      for (size_t c = 0; c < n; ++c) {
        const double exact = static_cast<double>(x[c]) / root * static_cast<double>(weight[c]);
        ASSERT_NEAR(static_cast<double>(out[c]), exact,
                    std::abs(exact) * (columns + 8) * std::ldexp(1.0, -24))
            << variant.name << ", " << columns << " columns";
      }
    }
  }
}

TEST(RmsNormTest, OfARowIsTheSameAmongOthersAndInPlace) {
  constexpr int kColumns = 579;
  constexpr int kRows = 400;  // forked
  const size_t n = kColumns;
  const std::vector<float> x = RandomFloats(n * kRows, 4);
  const std::vector<float> weight = RandomFloats(n, 5);
  for (const Variant& variant : Variants()) {
    std::vector<float> together = x;
    RmsNorm(PoolOf(2), variant.kernels, together.data(), kRows, kColumns, weight.data(), 1e-5F,
            together.data());
    for (const int row : {0, 1, 199, 200, 399}) {
      std::vector<float> alone(n);
      const size_t at = static_cast<size_t>(row) * n;
      RmsNorm(PoolOf(2), variant.kernels, &x[at], 1, kColumns, weight.data(), 1e-5F, alone.data());
      ASSERT_EQ(Bits(alone.data(), n), Bits(&together[at], n)) << variant.name << ", row " << row;
    }
  }
}

RopeTable Table(int half, RopePairing pairing) {
  RopeTable table;
  table.pairing = pairing;
  table.attention_factor = 1.25F;
  for (int i = 0; i < half; ++i) {
    table.inverse_frequencies.push_back(
        std::pow(10000.0F, -static_cast<float>(i) / static_cast<float>(half)));
  }
  return table;
}

TEST(RopeTest, TurnsThePairsOfBothKindsAndLeavesTheRest) {
  constexpr int kHeads = 3;
  const std::vector<int> positions = {0, 1, 63, 64, 5000, 100'003};
  for (const Variant& variant : Variants()) {
    for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalves}) {
      for (const int half : {32, 40, 64, 5}) {
        SCOPED_TRACE(testing::Message() << variant.name << ", half " << half);
        const int head_dim = 2 * half + 6;
        const RopeTable table = Table(half, pairing);
        const size_t n = static_cast<size_t>(head_dim);
        const std::vector<float> x = RandomFloats(positions.size() * kHeads * n, 6);
        std::vector<float> turned = x;
        RopeCache cache;
        Rope(PoolOf(2), variant.kernels, turned.data(), static_cast<int>(positions.size()), kHeads,
             head_dim, cache.Lookup(table, positions));
        for (size_t row = 0; row < positions.size() * kHeads; ++row) {
          const float* from = &x[row * n];
          const float* to = &turned[row * n];
          for (int i = 0; i < half; ++i) {
            const bool adjacent = pairing == RopePairing::kAdjacent;
            const int a = adjacent ? 2 * i : i;
            const int b = adjacent ? 2 * i + 1 : i + half;
            const double angle =
                positions[row / kHeads] *
                static_cast<double>(table.inverse_frequencies[static_cast<size_t>(i)]);
            const double real = static_cast<double>(from[a]);
            const double imaginary = static_cast<double>(from[b]);
            // Cosine, sine, two products and a sum: 4 roundings of values up to `magnitude`.
            const double magnitude = 1.25 * (std::abs(real) + std::abs(imaginary));
            const double bound = 4 * magnitude * std::ldexp(1.0, -24);
            EXPECT_NEAR(static_cast<double>(to[a]),
                        1.25 * (real * std::cos(angle) - imaginary * std::sin(angle)), bound);
            EXPECT_NEAR(static_cast<double>(to[b]),
                        1.25 * (real * std::sin(angle) + imaginary * std::cos(angle)), bound);
          }
          EXPECT_EQ(Bits(from + 2 * half, 6), Bits(to + 2 * half, 6)) << "beyond rotary_dim";
        }
      }
    }
  }
}

TEST(RopeTest, OfARowIsTheSameAmongOthers) {
  constexpr int kRows = 700;  // forked
  constexpr int kHeads = 4;
  constexpr int kDim = 64;
  const size_t n = kHeads * kDim;
  const RopeTable table = Table(kDim / 2, RopePairing::kAdjacent);
  const std::vector<float> x = RandomFloats(kRows * n, 7);
  std::vector<int> positions;
  for (int i = 0; i < kRows; ++i) positions.push_back(i * 37 % 1000);
  for (const Variant& variant : Variants()) {
    RopeCache cache;
    std::vector<float> together = x;
    Rope(PoolOf(2), variant.kernels, together.data(), kRows, kHeads, kDim,
         cache.Lookup(table, positions));
    for (const size_t row : {0, 1, 350, 699}) {
      RopeCache fresh;
      std::vector<float> alone(x.begin() + static_cast<ptrdiff_t>(row * n),
                               x.begin() + static_cast<ptrdiff_t>((row + 1) * n));
      Rope(PoolOf(2), variant.kernels, alone.data(), 1, kHeads, kDim,
           fresh.Lookup(table, {&positions[row], 1}));
      ASSERT_EQ(Bits(alone.data(), n), Bits(&together[row * n], n)) << variant.name;
    }
  }
}

RopeTable TurnedFaster(RopeTable table, float factor) {
  table.inverse_frequencies[2] *= factor;
  return table;
}

TEST(RopeCacheTest, HoldsSeveralTables) {
  RopeCache cache;
  const int position = 9;
  const RopeTable first = Table(4, RopePairing::kHalves);
  const RopeTable second = TurnedFaster(first, 0.5F);
  const float* const kept = cache.Lookup(first, {&position, 1}).rows[0];
  const float before = kept[2];
  EXPECT_NE(cache.Lookup(second, {&position, 1}).rows[0][2], before);
  EXPECT_EQ(cache.Lookup(RopeTable(first), {&position, 1}).rows[0], kept) << "computed once";
  EXPECT_EQ(kept[2], before);
}

TEST(RopeCacheTest, DropsTheTableThatWasNotUsedForLongest) {
  RopeCache cache;
  const int position = 9;
  const RopeTable table = Table(4, RopePairing::kHalves);
  const auto value = [&](float factor) {
    return cache.Lookup(TurnedFaster(table, factor), {&position, 1}).rows[0][2];
  };
  std::vector<float> expected;
  for (int i = 0; i < 40; ++i) {
    RopeCache fresh;
    const RopeTable other = TurnedFaster(table, static_cast<float>(1 + i));
    expected.push_back(fresh.Lookup(other, {&position, 1}).rows[0][2]);
  }
  const float* const kept = cache.Lookup(table, {&position, 1}).rows[0];
  for (int i = 1; i < 40; ++i) {
    EXPECT_EQ(value(static_cast<float>(1 + i)), expected[static_cast<size_t>(i)]);
    EXPECT_EQ(cache.Lookup(table, {&position, 1}).rows[0], kept) << "used again each time";
  }
  EXPECT_EQ(value(2.0F), expected[1]);
  const float* const newest = cache.Lookup(TurnedFaster(table, 100.0F), {&position, 1}).rows[0];
  EXPECT_NE(cache.Lookup(TurnedFaster(table, 101.0F), {&position, 1}).rows[0], newest);
  EXPECT_EQ(cache.Lookup(TurnedFaster(table, 100.0F), {&position, 1}).rows[0], newest);
}

TEST(AddTest, OfAnElementIsTheSameAmongOthers) {
  constexpr size_t kCount = 150'001;  // forked; not a whole vector
  const std::vector<float> x = RandomFloats(kCount, 10);
  const std::vector<float> y = RandomFloats(kCount, 11);
  for (const Variant& variant : Variants()) {
    std::vector<float> sums = x;
    Add(PoolOf(2), variant.kernels, sums.data(), y.data(), kCount);
    for (size_t i = 0; i < kCount; ++i) {
      ASSERT_EQ(sums[i], x[i] + y[i]) << variant.name << ", element " << i;
    }
  }
}

}  // namespace
}  // namespace reprise

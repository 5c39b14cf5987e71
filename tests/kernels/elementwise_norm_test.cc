// Layer norm, scale and soft cap against double precision and, bit for bit, against themselves
// beside other rows or elements. The norm of the root mean square is in elementwise_test.cc.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "elementwise_case.h"

namespace reprise {
namespace {

std::vector<float> NormInDoubles(const std::vector<float>& x, const std::vector<float>& weight,
                                 const std::vector<float>* bias, std::vector<float>& size) {
  long double sum = 0;
  for (const float value : x) sum += static_cast<long double>(value);
  const long double mean = sum / static_cast<long double>(x.size());
  long double squares = 0;
  for (const float value : x) squares += std::pow(static_cast<long double>(value) - mean, 2);
  const long double root =
      std::sqrt(squares / static_cast<long double>(x.size()) + static_cast<long double>(kEpsilon));
  std::vector<float> out;
  size.clear();
  for (size_t c = 0; c < x.size(); ++c) {
    const long double scaled =
        (static_cast<long double>(x[c]) - mean) / root * static_cast<long double>(weight[c]);
    const long double shift = bias == nullptr ? 0 : static_cast<long double>((*bias)[c]);
    out.push_back(static_cast<float>(scaled + shift));
    size.push_back(static_cast<float>(std::abs(scaled) + std::abs(shift)));
  }
  return out;
}

// Two roundings of the scaled distance, one of the sum, one of the reference itself.
TEST(LayerNormTest, IsNearTheReferenceAlsoFarFromZero) {
  for (const int columns : {1, 7, 8, 31, 576, 1000, 4096}) {
    for (const float mean : {0.0F, -3.0F, 1000.0F}) {
      const auto n = static_cast<size_t>(columns);
      std::vector<float> x = RandomFloats(n, 2);
      for (float& value : x) value += mean;
      const std::vector<float> weight = RandomFloats(n, 3);
      const std::vector<float> bias = RandomFloats(n, 4);
      std::vector<float> size;
      for (const auto* shift : {static_cast<const std::vector<float>*>(nullptr), &bias}) {
        const std::vector<float> expected = NormInDoubles(x, weight, shift, size);
        std::vector<float> out(n);
        LayerNorm(PoolOf(2), x.data(), 1, columns, weight.data(),
                  shift == nullptr ? nullptr : shift->data(), kEpsilon, out.data());
        for (size_t c = 0; c < n; ++c) {
          ASSERT_NEAR(out[c], expected[c], size[c] * std::ldexp(4.0F, -24))
              << columns << " columns, column " << c << ", mean " << mean;
        }
      }
    }
  }
}

TEST(LayerNormTest, OfARowIsTheSameAmongOthersAndInPlaceWithAnyThreads) {
  constexpr int kColumns = 579;
  constexpr int kRows = 400;  // forked
  const size_t n = kColumns;
  const std::vector<float> x = RandomFloats(n * kRows, 4);
  const std::vector<float> weight = RandomFloats(n, 5);
  const std::vector<float> bias = RandomFloats(n, 6);
  for (const int threads : {1, 2, 3}) {
    ThreadPool& pool = PoolOf(threads);
    std::vector<float> together = x;
    LayerNorm(pool, together.data(), kRows, kColumns, weight.data(), bias.data(), kEpsilon,
              together.data());
    for (const int row : {0, 1, 199, 200, 399}) {
      std::vector<float> alone(n);
      const size_t at = static_cast<size_t>(row) * n;
      LayerNorm(pool, &x[at], 1, kColumns, weight.data(), bias.data(), kEpsilon, alone.data());
      ASSERT_EQ(Bits(alone.data(), n), Bits(&together[at], n)) << "row " << row;
    }
  }
}

TEST(LayerNormTest, NotANumberStaysInItsOwnRow) {
  std::vector<float> x = RandomFloats(30, 7);
  x[14] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> weight(10, 1.0F);
  std::vector<float> out(30);
  LayerNorm(PoolOf(2), x.data(), 3, 10, weight.data(), nullptr, kEpsilon, out.data());
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), i / 10 == 1) << i;
}

TEST(ScaleTest, MultipliesEachElement) {
  constexpr size_t kCount = 150'001;  // forked
  const std::vector<float> x = RandomFloats(kCount, 8);
  std::vector<float> scaled = x;
  Scale(PoolOf(2), scaled.data(), 0.22F, kCount);
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(scaled[i], x[i] * 0.22F) << "element " << i;
}

// tanh within 4 ulp, a quotient (of which tanh takes no more than its relative error), a product.
TEST(SoftCapTest, IsNearTheReferenceFromTinyToSaturated) {
  std::vector<float> x;
  for (uint32_t bits = std::bit_cast<uint32_t>(1e-30F); bits < std::bit_cast<uint32_t>(1e5F);
       bits += 10'007) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  for (const float cap : {1.0F, 30.0F, 50.0F}) {
    std::vector<float> capped = x;
    SoftCap(PoolOf(2), capped.data(), cap, capped.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = static_cast<double>(cap) *
                           std::tanh(static_cast<double>(x[i]) / static_cast<double>(cap));
      ASSERT_NEAR(static_cast<double>(capped[i]), exact, std::abs(exact) * std::ldexp(10.0, -24))
          << x[i] << ", cap " << cap;
    }
  }
}

TEST(SoftCapTest, OfAnElementIsTheSameAmongOthers) {
  constexpr size_t kCount = 150'001;  // forked
  std::vector<float> x = RandomFloats(kCount, 9);
  x[7] = std::numeric_limits<float>::infinity();
  x[8] = std::numeric_limits<float>::quiet_NaN();
  x[9] = -0.0F;
  std::vector<float> capped = x;
  SoftCap(PoolOf(2), capped.data(), 1.5F, kCount);
  for (size_t i = 0; i < kCount; ++i) {
    float alone = x[i];
    SoftCap(PoolOf(2), &alone, 1.5F, 1);
    ASSERT_EQ(Bits(&alone, 1), Bits(&capped[i], 1)) << "element " << i;
  }
  EXPECT_EQ(capped[7], 1.5F);
  EXPECT_TRUE(std::isnan(capped[8]));
  EXPECT_EQ(capped[9], 0.0F);
}

}  // namespace
}  // namespace reprise

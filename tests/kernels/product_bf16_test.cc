// Two ways to one set of bits: 16-bit weights of avx512 by vdpbf16ps and by fma.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/isa.h"
#include "kernels/pack.h"
#include "kernels/product.h"

namespace reprise {
namespace {

constexpr int kBf16Rows = 9;
constexpr int kBf16Columns = 577;
constexpr ptrdiff_t kBf16Stride = kBf16Columns + 1;

enum class Values : uint8_t { kUsual, kTiny, kAny };

uint16_t RandomHalf(Values values, std::mt19937& random) {
  const auto bits = static_cast<uint16_t>(random());
  switch (values) {
    case Values::kUsual:
      return static_cast<uint16_t>((bits & 0x81ff) | 0x3e00);
    case Values::kTiny: {
      // Products about 2^-126, some exactly that, and such as change the last bits of it.
      const uint16_t exponent = bits % 3 == 0 ? 64 : 51 + bits % 4;
      return static_cast<uint16_t>((bits & 0x8040) | (exponent << 7));
    }
    case Values::kAny:
      return std::isnan(FromBf16(bits)) ? uint16_t{0x7f80} : bits;
  }
  return 0;
}

class Bf16TileTest : public testing::TestWithParam<Values> {
 protected:
  void SetUp() override {
    if (!CpuOffers(Isa::kAvx512)) GTEST_SKIP() << "this CPU has no AVX-512";
  }
};

// But for which of several NaNs it is.
bool SameNumber(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

TEST_P(Bf16TileTest, HasTheSameBitsByPairsAndByFma) {
  std::mt19937 random(41);
  constexpr size_t kHalves = size_t{kTileOutputs} * kBf16Stride;
  const AlignedBytes tile(kHalves * sizeof(uint16_t));
  auto* const halves = reinterpret_cast<uint16_t*>(tile.data());
  std::vector<uint16_t> x(kBf16Rows * kBf16Stride);
  for (int trial = 0; trial < 4; ++trial) {
    for (size_t i = 0; i < kHalves; ++i) halves[i] = RandomHalf(GetParam(), random);
    for (uint16_t& value : x) value = RandomHalf(GetParam(), random);
    const Bf16Rows rows = {.x = x.data(), .stride = kBf16Stride};
    for (const int count : {1, 2, 3, 4, 5, 8}) {
      for (const int columns : {1, 2, 34, kBf16Columns}) {
        std::vector<float> by_pairs(kBf16Rows * kTileOutputs, -1.0F);
        std::vector<float> by_fma(kBf16Rows * kTileOutputs, -1.0F);
        TileCall call = {.format = nullptr,
                         .tile = tile.data(),
                         .columns = columns,
                         .quantized = nullptr,
                         .bf16 = &rows,
                         .first_row = 1,
                         .rows = count,
                         .y = by_pairs.data(),
                         .y_stride = kTileOutputs,
                         .scratch = nullptr};
        avx512::Bf16TileByPairs(call);
        call.y = by_fma.data();
        avx512::Bf16TileByFma(call);
        for (size_t i = 0; i < by_fma.size(); ++i) {
          ASSERT_TRUE(SameNumber(by_pairs[i], by_fma[i]))
              << count << " rows, " << columns << " columns, element " << i << ": " << by_pairs[i]
              << " and " << by_fma[i];
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Bf16TileTest,
                         testing::Values(Values::kUsual, Values::kTiny, Values::kAny));

}  // namespace
}  // namespace reprise

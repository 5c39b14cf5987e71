// The emulated tiles against what Intel's manual says of the instructions, one element at a time in
// plain C++; and, where there is AMX, the instructions against the emulation.

#include "kernels/tiles.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "flushed_fma.h"
#include "kernels/bf16.h"
#include "kernels/isa.h"
#include "kernels/tile_permission.h"

namespace reprise {
namespace {

using TileBytes = uint8_t[kTileRows][kTileRowBytes];

// C is [rows, outputs], A [rows, 4 · depth bytes], B [depth, outputs].
struct ProductShape {
  int rows;
  int outputs;
  int depth;
};

enum class Instruction : uint8_t { kSS, kSU, kBf16 };
constexpr Instruction kInstructions[] = {Instruction::kSS, Instruction::kSU, Instruction::kBf16};

struct TileOperands {
  TileBytes c;
  TileBytes a;
  TileBytes b;
};

// C after one instruction, in all 16 × 64 bytes; what lies beyond the shape is `kBeyond`.
constexpr uint8_t kBeyond = 0xA5;
struct TileOutcome {
  TileBytes c;
};

template <typename Tiles>
TileOutcome RunTiles(Instruction instruction, const ProductShape& shape, const TileOperands& of) {
  TileOutcome outcome;
  std::memset(outcome.c, kBeyond, sizeof(outcome.c));
  const TileShapes shapes = {
      {1, 4}, {shape.rows, 4 * shape.outputs},  {1, 4}, {shape.rows, 4 * shape.depth}, {1, 4},
      {1, 4}, {shape.depth, 4 * shape.outputs}, {1, 4}};
  const Tiled<Tiles> tiled(shapes);
  Tiles::template Load<1>(of.c, kTileRowBytes);
  Tiles::template Load<3>(of.a, kTileRowBytes);
  Tiles::template Load<6>(of.b, kTileRowBytes);
  switch (instruction) {
    case Instruction::kSS:
      Tiles::template MultiplySS<1, 3, 6>();
      break;
    case Instruction::kSU:
      Tiles::template MultiplySU<1, 3, 6>();
      break;
    case Instruction::kBf16:
      Tiles::template MultiplyBf16<1, 3, 6>();
      break;
  }
  Tiles::template Store<1>(outcome.c, kTileRowBytes);
  return outcome;
}

// -- The manual's words, element by element
// --------------------------------------------------------

float Bf16At(const TileBytes& tile, int row, int i) {
  uint16_t half;
  std::memcpy(&half, tile[row] + 2 * i, sizeof(half));
  return FromBf16(half);
}

TileOutcome RunModel(Instruction instruction, const ProductShape& shape, const TileOperands& of) {
  TileOutcome outcome;
  std::memset(outcome.c, kBeyond, sizeof(outcome.c));
  for (int m = 0; m < shape.rows; ++m) {
    for (int n = 0; n < shape.outputs; ++n) {
      uint8_t* const to = outcome.c[m] + 4 * n;
      if (instruction == Instruction::kBf16) {
        float sums[2] = {0, 0};
        for (int k = 0; k < shape.depth; ++k) {
          for (int i = 0; i < 2; ++i) {
            sums[i] = FlushedFma(Bf16At(of.a, m, 2 * k + i), Bf16At(of.b, k, 2 * n + i), sums[i]);
          }
        }
        float c;
        std::memcpy(&c, of.c[m] + 4 * n, sizeof(c));
        c = FlushedFma(c, 1, FlushedFma(sums[0], 1, sums[1]));
        std::memcpy(to, &c, sizeof(c));
        continue;
      }
      uint32_t c;  // wraps around
      std::memcpy(&c, of.c[m] + 4 * n, sizeof(c));
      for (int i = 0; i < 4 * shape.depth; ++i) {
        const uint8_t b = of.b[i / 4][4 * n + i % 4];
        const int wide_a = int{static_cast<int8_t>(of.a[m][i])};
        const int wide_b = instruction == Instruction::kSU ? int{b} : int{static_cast<int8_t>(b)};
        c += static_cast<uint32_t>(wide_a * wide_b);
      }
      std::memcpy(to, &c, sizeof(c));
    }
  }
  return outcome;
}

// -- Operands -----------------------------------------------------------------------------------

enum class Numbers : uint8_t {
  kNearOne,
  kCancelling,
  kDenormal,
  kDenormalProducts,
  kAboutSmallestNormal,
  kAnyNormal,
  kOverflow,
  kInfinite,
};
constexpr Numbers kNumbers[] = {Numbers::kNearOne,
                                Numbers::kCancelling,
                                Numbers::kDenormal,
                                Numbers::kDenormalProducts,
                                Numbers::kAboutSmallestNormal,
                                Numbers::kAnyNormal,
                                Numbers::kOverflow,
                                Numbers::kInfinite};

uint16_t RandomBf16(Numbers numbers, std::mt19937& random) {
  const auto of_exponent = [&](unsigned lowest, unsigned count) {
    return static_cast<uint16_t>((random() & 0x807f) | ((lowest + random() % count) << 7));
  };
  switch (numbers) {
    case Numbers::kNearOne:
      return of_exponent(120, 8);
    case Numbers::kCancelling:
      return random() % 4 == 0 ? of_exponent(151, 1) : of_exponent(127, 1);
    case Numbers::kDenormal:
      return random() % 3 == 0 ? of_exponent(127, 1) : of_exponent(0, 1);
    case Numbers::kDenormalProducts:
      return of_exponent(40, 50);
    case Numbers::kAboutSmallestNormal: {
      // Products of 2^-126, and such as change its last bits: 2^-148 to 2^-152.
      const auto exponent = static_cast<unsigned>(random() % 3 == 0 ? 64 : 51 + random() % 3);
      const unsigned mantissa = random() % 2 == 0 ? 0 : 0x40;
      return static_cast<uint16_t>((random() & 0x8000) | (exponent << 7) | mantissa);
    }
    case Numbers::kAnyNormal:
      return of_exponent(1, 254);
    case Numbers::kOverflow:
      return of_exponent(180, 20);
    case Numbers::kInfinite:
      return random() % 64 == 0 ? static_cast<uint16_t>(0x7f80 | (random() & 0x8001))
                                : of_exponent(127, 1);
  }
  return 0;
}

float RandomSum(Numbers numbers, std::mt19937& random) {
  switch (random() % 3) {
    case 0:
      return 0;
    case 1:
      return std::bit_cast<float>(static_cast<uint32_t>(random() & 0x807fffffU));  // denormal
    default:
      return FromBf16(RandomBf16(numbers, random)) * FromBf16(RandomBf16(numbers, random)) *
             1.2345F;
  }
}

TileOperands RandomOperands(Instruction instruction, Numbers numbers, std::mt19937& random) {
  TileOperands of;
  for (TileBytes* tile : {&of.a, &of.b, &of.c}) {
    for (auto& row : *tile) {
      for (uint8_t& byte : row) byte = static_cast<uint8_t>(random());
    }
  }
  if (instruction != Instruction::kBf16) return of;
  for (int row = 0; row < kTileRows; ++row) {
    for (int i = 0; i < kTileRowBytes / 2; ++i) {
      const uint16_t a = RandomBf16(numbers, random);
      const uint16_t b = RandomBf16(numbers, random);
      std::memcpy(of.a[row] + 2 * i, &a, sizeof(a));
      std::memcpy(of.b[row] + 2 * i, &b, sizeof(b));
    }
    for (int i = 0; i < kTileRowBytes / 4; ++i) {
      const float c = RandomSum(numbers, random);
      std::memcpy(of.c[row] + 4 * i, &c, sizeof(c));
    }
  }
  return of;
}

// Bits; but which of several NaNs comes out is not said.
testing::AssertionResult SameOutcome(Instruction instruction, const TileOutcome& a,
                                     const TileOutcome& b) {
  for (int row = 0; row < kTileRows; ++row) {
    for (int n = 0; n < kTileRowBytes / 4; ++n) {
      uint32_t x;
      uint32_t y;
      std::memcpy(&x, a.c[row] + 4 * n, sizeof(x));
      std::memcpy(&y, b.c[row] + 4 * n, sizeof(y));
      const bool are_nan = instruction == Instruction::kBf16 &&
                           std::isnan(std::bit_cast<float>(x)) &&
                           std::isnan(std::bit_cast<float>(y));
      if (x != y && !are_nan) {
        return testing::AssertionFailure()
               << std::hex << "row " << row << ", output " << n << ": " << x << " and " << y;
      }
    }
  }
  return testing::AssertionSuccess();
}

using Runner = TileOutcome (*)(Instruction, const ProductShape&, const TileOperands&);

void ExpectSameOutcomes(Runner first, Runner second, int trials) {
  std::mt19937 random(3);
  for (const Instruction instruction : kInstructions) {
    for (const Numbers numbers : kNumbers) {
      for (int trial = 0; trial < trials; ++trial) {
        const auto up_to_16 = [&] { return trial == 0 ? 16 : 1 + static_cast<int>(random() % 16); };
        const ProductShape shape = {up_to_16(), up_to_16(), up_to_16()};
        const TileOperands of = RandomOperands(instruction, numbers, random);
        ASSERT_TRUE(
            SameOutcome(instruction, first(instruction, shape, of), second(instruction, shape, of)))
            << "instruction " << static_cast<int>(instruction) << ", numbers "
            << static_cast<int>(numbers) << ", " << shape.rows << " x " << shape.outputs << " x "
            << shape.depth;
      }
    }
  }
}

class EmulatedTilesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!CpuOffers(Isa::kAmxEmulated)) GTEST_SKIP() << "this CPU has no AVX-512";
  }
};

class HardwareTilesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!TilePermission()) GTEST_SKIP() << TilePermission().error().message;
  }
};

TEST_F(EmulatedTilesTest, DoWhatTheManualSays) {
  ExpectSameOutcomes(RunTiles<EmulatedTiles>, RunModel, 200);
}

TEST_F(HardwareTilesTest, AreWhatIsEmulated) {
  ExpectSameOutcomes(RunTiles<HardwareTiles>, RunTiles<EmulatedTiles>, 2000);
}

// 2^-126 - 1.5 · 2^-151: a denormal's step rounds it up to a normal number, 24 bits do not.
TEST_F(EmulatedTilesTest, AResultIsTinyWhenItsRoundingWithoutBoundsIs) {
  TileOperands of = {};
  const float as[] = {0x1p-63F, 0x1.8p-75F};
  const float bs[] = {0x1p-63F, -0x1p-76F};
  for (int k = 0; k < 2; ++k) {
    const uint16_t a = ToBf16(as[k]);
    const uint16_t b = ToBf16(bs[k]);
    std::memcpy(of.a[0] + 4 * k, &a, sizeof(a));
    std::memcpy(of.b[k], &b, sizeof(b));
  }
  float sum;
  const TileOutcome outcome =
      RunTiles<EmulatedTiles>(Instruction::kBf16, {.rows = 1, .outputs = 1, .depth = 2}, of);
  std::memcpy(&sum, outcome.c[0], sizeof(sum));
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(std::fma(as[1], bs[1], as[0] * bs[0]), 0x1p-126F);
}

// The reader of MXCSR is the vector code around tiles, never a tile.
TEST_F(EmulatedTilesTest, LeaveMxcsrAlone) {
  std::mt19937 random(4);
  const TileOperands of = RandomOperands(Instruction::kBf16, Numbers::kNearOne, random);
  const ProductShape shape = {16, 16, 16};
  const TileOutcome expected = RunTiles<EmulatedTiles>(Instruction::kBf16, shape, of);
  const unsigned before = _mm_getcsr();
  const unsigned rounds_up = (before & ~0x6000U) | 0x4000U;
  _mm_setcsr(rounds_up);
  const TileOutcome outcome = RunTiles<EmulatedTiles>(Instruction::kBf16, shape, of);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(after & 0xffc0U, rounds_up & 0xffc0U);
  EXPECT_TRUE(SameOutcome(Instruction::kBf16, expected, outcome));
}

TEST_F(EmulatedTilesTest, TilesAreReleasedAndLoadedPartlyZero) {
  TileOperands of;
  std::memset(&of, 1, sizeof(of));
  {
    const TileShapes shapes = {{2, 8}, {2, 8}, {1, 4}, {1, 4}, {1, 4}, {1, 4}, {1, 4}, {1, 4}};
    const Tiled<EmulatedTiles> tiled(shapes);
    EmulatedTiles::Load<0>(of.a, 64);
    EmulatedTiles::Zero<0>();
    std::memset(of.c, 7, sizeof(of.c));
    EmulatedTiles::Store<0>(of.c, 64);
    EXPECT_EQ(of.c[1][7], 0);
    EXPECT_EQ(of.c[1][8], 7);
    EXPECT_EQ(of.c[2][0], 7);
    EXPECT_DEATH((EmulatedTiles::MultiplySS<0, 1, 2>()), "shapes of tiles fit each other");
  }
  EXPECT_DEATH(EmulatedTiles::Load<0>(of.a, 64), "tiles are configured");
}

}  // namespace
}  // namespace reprise

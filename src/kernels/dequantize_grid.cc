// Types of 1 to 3 bits: super-blocks of 256 weights, whose magnitudes are chosen by eights or fours
// from a grid (grids.h). A group's q are codes of the type's codebook (codebooks.h): magnitude and
// sign.

#include <bit>

#include "kernels/block_bits.h"
#include "kernels/grids.h"
#include "kernels/read_groups.h"

namespace reprise {
namespace {

// A run of eight: its index in a grid, and bit i set where weight i is negative. For IQ1 all bits
// alike: the sign of the shift by 1/8.
struct GridRun {
  int index;
  int negative;
};

// Where seven signs are stored, the eighth makes the number of negative weights even.
int EvenSigns(uint32_t seven) {
  return static_cast<int>(seven | (static_cast<uint32_t>(std::popcount(seven)) & 1u) << 7);
}

void PutRun(const std::vector<uint16_t>& grid, const GridRun& run, uint8_t* q) {
  const int entry = grid[static_cast<size_t>(run.index)];
  for (int i = 0; i < 8; ++i) {
    q[i] = static_cast<uint8_t>(((entry >> (2 * i)) & 3) | (((run.negative >> i) & 1) << 2));
  }
}

// Four weights of three bits; bit i of `negative` is of weight i.
void PutFour(const std::vector<uint16_t>& grid, int index, int negative, uint8_t* q) {
  const int entry = grid[static_cast<size_t>(index)];
  for (int i = 0; i < 4; ++i) {
    q[i] = static_cast<uint8_t>(((entry >> (4 * i)) & 7) | (((negative >> i) & 1) << 3));
  }
}

// Scales of four bits count half steps: (scale + 1/2) · unit.
float HalfSteps(float d, int scale, float unit) {
  return d * (static_cast<float>(scale) + 0.5F) * unit;
}

int NibbleAt(const std::byte* at, int index) {
  return (ByteAt(at + index / 2) >> (4 * (index % 2))) & 15;
}

}  // namespace

// d, indices[32] (lower 8 bits), 16 bits for each group of 32: the upper 3 bits of four indices, 3
// bits of scale, the shift's sign.
void ReadGroupIQ1_S(const std::byte* block, int sub, WeightGroup& out) {
  const int bits = Bits16At(block + 34 + 2 * sub);
  // The codebook is 8 times the values, hence the eighth.
  out.d = HalfAt(block) * static_cast<float>(2 * ((bits >> 12) & 7) + 1) * 0.125F;
  for (int i = 0; i < 4; ++i) {
    const int index = ByteAt(block + 2 + 4 * sub + i) | (((bits >> (3 * i)) & 7) << 8);
    PutRun(GridIQ1(), {index, (bits & 0x8000) != 0 ? 0xff : 0}, out.q + 8 * i);
  }
}

// Indices[32] (lower 8 bits), a nibble for each (upper 3 bits, the shift's sign), scales[8]: 16
// bits for four groups of 16, 3 bits each; their four upper nibbles are d, the lowest first.
void ReadGroupIQ1_M(const std::byte* block, int sub, WeightGroup& out) {
  const std::byte* const scales = block + 48;
  int d = 0;
  for (int i = 0; i < 4; ++i) d |= (Bits16At(scales + 2 * i) >> 12) << (4 * i);
  const int scale = (Bits16At(scales + 2 * (sub / 4)) >> (3 * (sub % 4))) & 7;
  out.d = HalfToFloat(static_cast<uint16_t>(d)) * static_cast<float>(2 * scale + 1) * 0.125F;
  for (int i = 0; i < 2; ++i) {
    const int high = NibbleAt(block + 32, 2 * sub + i);
    const int index = ByteAt(block + 2 * sub + i) | ((high & 7) << 8);
    PutRun(GridIQ1(), {index, (high & 8) != 0 ? 0xff : 0}, out.q + 8 * i);
  }
}

// d, for each group of 32: indices[4], then four times 7 signs and 4 bits of scale.
void ReadGroupIQ2_XXS(const std::byte* block, int sub, WeightGroup& out) {
  const std::byte* const at = block + 2 + 8 * sub;
  const uint32_t signs = Bits32At(at + 4);
  out.d = HalfSteps(HalfAt(block), static_cast<int>(signs >> 28), 0.25F);
  for (int i = 0; i < 4; ++i) {
    PutRun(GridIQ2_XXS(), {ByteAt(at + i), EvenSigns((signs >> (7 * i)) & 127)}, out.q + 8 * i);
  }
}

// d, 16 bits for each eight weights (9 of index, 7 of signs), scales in nibbles[8].
void ReadGroupIQ2_XS(const std::byte* block, int sub, WeightGroup& out) {
  out.d = HalfSteps(HalfAt(block), NibbleAt(block + 66, sub), 0.25F);
  for (int i = 0; i < 2; ++i) {
    const unsigned bits = Bits16At(block + 2 + 4 * sub + 2 * i);
    PutRun(GridIQ2_XS(), {static_cast<int>(bits & 511), EvenSigns(bits >> 9)}, out.q + 8 * i);
  }
}

// d, indices[32] (lower 8 bits), signs[32], upper 2 bits of indices[8], scales in nibbles[8].
void ReadGroupIQ2_S(const std::byte* block, int sub, WeightGroup& out) {
  out.d = HalfSteps(HalfAt(block), NibbleAt(block + 74, sub), 0.25F);
  for (int i = 0; i < 2; ++i) {
    const int run = 2 * sub + i;
    const int high = (ByteAt(block + 66 + run / 4) >> (2 * (run % 4))) & 3;
    const int index = ByteAt(block + 2 + run) | (high << 8);
    PutRun(GridIQ2_S(), {index, ByteAt(block + 34 + run)}, out.q + 8 * i);
  }
}

// d, indices[64], for each group of 32 four times 7 signs and 4 bits of scale.
void ReadGroupIQ3_XXS(const std::byte* block, int sub, WeightGroup& out) {
  const uint32_t signs = Bits32At(block + 66 + 4 * sub);
  out.d = HalfSteps(HalfAt(block), static_cast<int>(signs >> 28), 0.5F);
  for (int i = 0; i < 8; ++i) {
    const int negative = EvenSigns((signs >> (7 * (i / 2))) & 127) >> (4 * (i % 2));
    PutFour(GridIQ3_XXS(), ByteAt(block + 2 + 8 * sub + i), negative, out.q + 4 * i);
  }
}

// d, indices[64] (lower 8 bits), their ninth bits[8], signs[32], scales in nibbles[4].
void ReadGroupIQ3_S(const std::byte* block, int sub, WeightGroup& out) {
  out.d = HalfAt(block) * static_cast<float>(2 * NibbleAt(block + 106, sub) + 1);
  const int ninth = ByteAt(block + 66 + sub);
  for (int i = 0; i < 8; ++i) {
    const int index = ByteAt(block + 2 + 8 * sub + i) | (((ninth >> i) & 1) << 8);
    const int negative = ByteAt(block + 74 + 4 * sub + i / 2) >> (4 * (i % 2));
    PutFour(GridIQ3_S(), index, negative, out.q + 4 * i);
  }
}

}  // namespace reprise

// The K types: super-blocks of 256 weights with integer scales for their groups.

#include "kernels/block_bits.h"
#include "kernels/read_groups.h"

namespace reprise {
namespace {

// The 6-bit scale and minimum of sub-block `sub` of 8, packed into 12 bytes.
void ReadScaleAndMin(const std::byte* packed, int sub, int& scale, int& min) {
  const auto at = [packed](int i) { return static_cast<int>(ByteAt(packed + i)); };
  if (sub < 4) {
    scale = at(sub) & 63;
    min = at(sub + 4) & 63;
  } else {
    scale = (at(sub + 4) & 15) | ((at(sub - 4) >> 6) << 4);
    min = (at(sub + 4) >> 4) | ((at(sub) >> 6) << 4);
  }
}

// The 6-bit scale of group `sub` of 16, less 32: the low nibbles are bytes 0..7 low, then high; the
// upper pairs of bits are bytes 8..11, bits 0 and 1 of each first.
int ReadScale3K(const std::byte* packed, int sub) {
  const int low = (ByteAt(packed + sub % 8) >> (4 * (sub / 8))) & 15;
  const int high = (ByteAt(packed + 8 + sub % 4) >> (2 * (sub / 4))) & 3;
  return (low | (high << 4)) - 32;
}

// Where the 2-bit integers of group `sub` of 16 begin among 64 bytes: each half of 128 weights has
// 32 bytes and four runs of 32 weights, which are pairs of bits of these, the lowest first.
struct Pairs {
  const std::byte* at;
  int shift;
};
Pairs PairsOf(const std::byte* quants, int sub) {
  return {quants + 32 * (sub / 8) + 16 * (sub % 2), 2 * (sub % 8 / 2)};
}

}  // namespace

// scales[16] (low nibble: of d, high: of dmin), pairs of bits[64], d, dmin.
void ReadGroup2K(const std::byte* block, int sub, WeightGroup& out) {
  const int scales = ByteAt(block + sub);
  out.d = HalfAt(block + 80) * static_cast<float>(scales & 15);
  out.m = -(HalfAt(block + 82) * static_cast<float>(scales >> 4));
  const Pairs pairs = PairsOf(block + 16, sub);
  for (int i = 0; i < 16; ++i) out.q[i] = (ByteAt(pairs.at + i) >> pairs.shift) & 3;
}

// Third bits[32], pairs of bits[64], scales[12], d. Bit r of a byte of third bits is of run r of 32
// weights.
void ReadGroup3K(const std::byte* block, int sub, WeightGroup& out) {
  out.d = HalfAt(block + 108) * static_cast<float>(ReadScale3K(block + 96, sub));
  const Pairs pairs = PairsOf(block + 32, sub);
  const std::byte* const third = block + 16 * (sub % 2);
  for (int i = 0; i < 16; ++i) {
    const int low = (ByteAt(pairs.at + i) >> pairs.shift) & 3;
    out.q[i] = static_cast<uint8_t>(low | (((ByteAt(third + i) >> (sub / 2)) & 1) << 2));
  }
}

// Q4_K: d, dmin, scales[12], nibbles[128]; Q5_K has 32 bytes of fifth bits before the nibbles.
// 32 bytes of nibbles hold two sub-blocks, low then high.
void ReadGroup45K(const std::byte* block, int sub, bool five_bits, WeightGroup& out) {
  int scale;
  int min;
  ReadScaleAndMin(block + 4, sub, scale, min);
  out.d = HalfAt(block) * static_cast<float>(scale);
  out.m = -(HalfAt(block + 2) * static_cast<float>(min));
  const std::byte* fifth = block + 16;
  const std::byte* nibbles = fifth + (five_bits ? 32 : 0) + 32 * (sub / 2);
  for (int i = 0; i < 32; ++i) {
    int q = (ByteAt(nibbles + i) >> (4 * (sub % 2))) & 15;
    if (five_bits) q |= ((ByteAt(fifth + i) >> sub) & 1) << 4;
    out.q[i] = static_cast<uint8_t>(q);
  }
}

// Low nibbles[128], high pairs of bits[64], int8 scales[16], d. Each half of 128 weights has four
// runs of 32: the runs' nibbles are bytes 0..31 low, 32..63 low, 0..31 high, 32..63 high.
void ReadGroup6K(const std::byte* block, int sub, WeightGroup& out) {
  const int half = sub / 8;
  const int run = (sub % 8) / 2;
  const int start = 16 * (sub % 2);
  const std::byte* low = block + 64 * half + 32 * (run % 2) + start;
  const std::byte* high = block + 128 + 32 * half + start;
  out.d = HalfAt(block + 208) * static_cast<float>(static_cast<int8_t>(ByteAt(block + 192 + sub)));
  for (int i = 0; i < 16; ++i) {
    const int nibble = (ByteAt(low + i) >> (4 * (run / 2))) & 15;
    out.q[i] = static_cast<uint8_t>(nibble | (((ByteAt(high + i) >> (2 * run)) & 3) << 4));
  }
}

// d in f32, int8[256], sums of 16 of these, which are not needed.
void ReadGroup8K(const std::byte* block, int sub, WeightGroup& out) {
  std::memcpy(&out.d, block, sizeof(out.d));
  for (int i = 0; i < 32; ++i) out.q[i] = ByteAt(block + 4 + 32 * sub + i) ^ 0x80;  // int8 + 128
}

}  // namespace reprise

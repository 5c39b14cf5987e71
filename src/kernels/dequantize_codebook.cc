// Types whose nibbles are codes of a codebook (codebooks.h).

#include <cmath>

#include "kernels/block_bits.h"
#include "kernels/read_groups.h"

namespace reprise {
namespace {

// 16 bytes: the low nibbles are weights 0..15, the high ones 16..31.
void ReadCodes(const std::byte* at, WeightGroup& out) {
  for (int i = 0; i < 16; ++i) {
    out.q[i] = ByteAt(at + i) & 15;
    out.q[i + 16] = static_cast<uint8_t>(ByteAt(at + i) >> 4);
  }
}

}  // namespace

// d, codes[16].
void ReadGroupIQ4_NL(const std::byte* block, WeightGroup& out) {
  out.d = HalfAt(block);
  ReadCodes(block + 2, out);
}

// d, the upper 2 bits of 8 scales, their lower nibbles[4], codes[128]. A scale is less 32.
void ReadGroupIQ4_XS(const std::byte* block, int sub, WeightGroup& out) {
  const int low = (ByteAt(block + 4 + sub / 2) >> (4 * (sub % 2))) & 15;
  const int high = (Bits16At(block + 2) >> (2 * sub)) & 3;
  out.d = HalfAt(block) * static_cast<float>((low | (high << 4)) - 32);
  ReadCodes(block + 8 + 16 * sub, out);
}

// A power of two in E8M0 (exponent + 127), codes[16]. The codebook's values are doubled, so d is
// halved. 255, which the format calls NaN, is 2^128, as ggml reads it.
void ReadGroupMXFP4(const std::byte* block, WeightGroup& out) {
  out.d = std::ldexp(1.0F, ByteAt(block) - 128);
  ReadCodes(block + 1, out);
}

}  // namespace reprise

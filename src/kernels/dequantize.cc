#include <cstring>

#include "base/check.h"
#include "kernels/bf16.h"
#include "kernels/block_bits.h"
#include "kernels/operations.h"
#include "kernels/pack_groups.h"
#include "kernels/read_groups.h"

namespace reprise {
namespace {

// 16 bytes of nibbles: the low ones are weights 0..15, the high ones 16..31.
void ReadNibbles(const std::byte* at, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = ByteAt(at + i) & 15;
    q[i + 16] = static_cast<uint8_t>(ByteAt(at + i) >> 4);
  }
}

// Bit i of a 32-bit little-endian word is bit 4 of weight i.
void ReadFifthBits(const std::byte* at, uint8_t* q) {
  const uint32_t bits = Bits32At(at);
  for (int i = 0; i < 32; ++i) q[i] = static_cast<uint8_t>(q[i] | (((bits >> i) & 1u) << 4));
}

}  // namespace

void ReadGroup(WeightType type, const std::byte* row, int64_t index, WeightGroup& out) {
  out.m = 0.0F;
  switch (type) {
    case WeightType::kQ4_0: {
      const std::byte* block = row + index * 18;
      out.d = HalfAt(block);
      return ReadNibbles(block + 2, out.q);
    }
    case WeightType::kQ4_1: {
      const std::byte* block = row + index * 20;
      out.d = HalfAt(block);
      out.m = HalfAt(block + 2);
      return ReadNibbles(block + 4, out.q);
    }
    case WeightType::kQ5_0: {
      const std::byte* block = row + index * 22;
      out.d = HalfAt(block);
      ReadNibbles(block + 6, out.q);
      return ReadFifthBits(block + 2, out.q);
    }
    case WeightType::kQ5_1: {
      const std::byte* block = row + index * 24;
      out.d = HalfAt(block);
      out.m = HalfAt(block + 2);
      ReadNibbles(block + 8, out.q);
      return ReadFifthBits(block + 4, out.q);
    }
    case WeightType::kQ8_0: {
      const std::byte* block = row + index * 34;
      out.d = HalfAt(block);
      for (int i = 0; i < 32; ++i) out.q[i] = ByteAt(block + 2 + i) ^ 0x80;  // int8 + 128
      return;
    }
    case WeightType::kQ2_K:
      return ReadGroup2K(row + index / 16 * 84, static_cast<int>(index % 16), out);
    case WeightType::kQ3_K:
      return ReadGroup3K(row + index / 16 * 110, static_cast<int>(index % 16), out);
    case WeightType::kQ4_K:
      return ReadGroup45K(row + index / 8 * 144, static_cast<int>(index % 8), false, out);
    case WeightType::kQ5_K:
      return ReadGroup45K(row + index / 8 * 176, static_cast<int>(index % 8), true, out);
    case WeightType::kQ6_K:
      return ReadGroup6K(row + index / 16 * 210, static_cast<int>(index % 16), out);
    case WeightType::kQ8_K:
      return ReadGroup8K(row + index / 8 * 292, static_cast<int>(index % 8), out);
    case WeightType::kIQ1_S:
      return ReadGroupIQ1_S(row + index / 8 * 50, static_cast<int>(index % 8), out);
    case WeightType::kIQ1_M:
      return ReadGroupIQ1_M(row + index / 16 * 56, static_cast<int>(index % 16), out);
    case WeightType::kIQ2_XXS:
      return ReadGroupIQ2_XXS(row + index / 8 * 66, static_cast<int>(index % 8), out);
    case WeightType::kIQ2_XS:
      return ReadGroupIQ2_XS(row + index / 16 * 74, static_cast<int>(index % 16), out);
    case WeightType::kIQ2_S:
      return ReadGroupIQ2_S(row + index / 16 * 82, static_cast<int>(index % 16), out);
    case WeightType::kIQ3_XXS:
      return ReadGroupIQ3_XXS(row + index / 8 * 98, static_cast<int>(index % 8), out);
    case WeightType::kIQ3_S:
      return ReadGroupIQ3_S(row + index / 8 * 110, static_cast<int>(index % 8), out);
    case WeightType::kIQ4_NL:
      return ReadGroupIQ4_NL(row + index * 18, out);
    case WeightType::kIQ4_XS:
      return ReadGroupIQ4_XS(row + index / 8 * 136, static_cast<int>(index % 8), out);
    case WeightType::kMXFP4:
      return ReadGroupMXFP4(row + index * 17, out);
    case WeightType::kF32:
    case WeightType::kF16:
    case WeightType::kBf16:
      break;
  }
  CHECK(false, "only quantised types have groups");
}

void Dequantize(WeightType type, const std::byte* data, size_t count, float* out) {
  switch (type) {
    case WeightType::kF32:
      std::memcpy(out, data, count * sizeof(float));
      return;
    case WeightType::kF16:
      for (size_t i = 0; i < count; ++i) out[i] = HalfAt(data + 2 * i);
      return;
    case WeightType::kBf16:
      for (size_t i = 0; i < count; ++i) out[i] = FromBf16(Bits16At(data + 2 * i));
      return;
    default:
      break;
  }
  const GroupFormat format = GroupFormatOf(type);
  CHECK(format.bits != 0, "the type is one of WeightType");
  const auto group = static_cast<size_t>(format.group);
  CHECK(count % group == 0, "count is a multiple of the type's block");
  WeightGroup weights;
  for (size_t start = 0; start < count; start += group) {
    ReadGroup(type, data, static_cast<int64_t>(start / group), weights);
    for (size_t i = 0; i < group; ++i) {
      const int q =
          format.codebook == nullptr ? weights.q[i] - format.zero : format.codebook[weights.q[i]];
      out[start + i] = weights.d * static_cast<float>(q);
      if (format.offset) out[start + i] += weights.m;
    }
  }
}

}  // namespace reprise

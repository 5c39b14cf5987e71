#include <fmt/format.h>

#include <cstring>

#include "base/check.h"
#include "kernels/bf16.h"
#include "kernels/operations.h"
#include "kernels/pack_groups.h"
#include "kernels/pack_half.h"

namespace reprise {
namespace {

uint8_t Byte(const std::byte* at) { return static_cast<uint8_t>(*at); }

uint16_t Bits16(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}

float Half(const std::byte* at) { return HalfToFloat(Bits16(at)); }

// 16 bytes of nibbles: the low ones are weights 0..15, the high ones 16..31.
void ReadNibbles(const std::byte* at, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = Byte(at + i) & 15;
    q[i + 16] = static_cast<uint8_t>(Byte(at + i) >> 4);
  }
}

// Bit i of a 32-bit little-endian word is bit 4 of weight i.
void ReadFifthBits(const std::byte* at, uint8_t* q) {
  uint32_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  for (int i = 0; i < 32; ++i) q[i] = static_cast<uint8_t>(q[i] | (((bits >> i) & 1u) << 4));
}

// The 6-bit scale and minimum of sub-block `sub` of 8, packed into 12 bytes.
void ReadScaleAndMin(const std::byte* packed, int sub, int& scale, int& min) {
  const auto at = [packed](int i) { return static_cast<int>(Byte(packed + i)); };
  if (sub < 4) {
    scale = at(sub) & 63;
    min = at(sub + 4) & 63;
  } else {
    scale = (at(sub + 4) & 15) | ((at(sub - 4) >> 6) << 4);
    min = (at(sub + 4) >> 4) | ((at(sub) >> 6) << 4);
  }
}

// Q4_K: d, dmin, scales[12], nibbles[128]; Q5_K has 32 bytes of fifth bits before the nibbles.
// 32 bytes of nibbles hold two sub-blocks, low then high.
void ReadGroupK(const std::byte* block, int sub, bool five_bits, WeightGroup& out) {
  int scale;
  int min;
  ReadScaleAndMin(block + 4, sub, scale, min);
  out.d = Half(block) * static_cast<float>(scale);
  out.m = -(Half(block + 2) * static_cast<float>(min));
  const std::byte* fifth = block + 16;
  const std::byte* nibbles = fifth + (five_bits ? 32 : 0) + 32 * (sub / 2);
  for (int i = 0; i < 32; ++i) {
    int q = (Byte(nibbles + i) >> (4 * (sub % 2))) & 15;
    if (five_bits) q |= ((Byte(fifth + i) >> sub) & 1) << 4;
    out.q[i] = static_cast<uint8_t>(q);
  }
}

// Q6_K: low nibbles[128], high pairs of bits[64], int8 scales[16], d. Each half of 128 weights has
// four runs of 32: the runs' nibbles are bytes 0..31 low, 32..63 low, 0..31 high, 32..63 high.
void ReadGroup6K(const std::byte* block, int sub, WeightGroup& out) {
  const int half = sub / 8;
  const int run = (sub % 8) / 2;
  const int start = 16 * (sub % 2);
  const std::byte* low = block + 64 * half + 32 * (run % 2) + start;
  const std::byte* high = block + 128 + 32 * half + start;
  out.d = Half(block + 208) * static_cast<float>(static_cast<int8_t>(Byte(block + 192 + sub)));
  out.m = 0.0F;
  for (int i = 0; i < 16; ++i) {
    const int nibble = (Byte(low + i) >> (4 * (run / 2))) & 15;
    out.q[i] = static_cast<uint8_t>(nibble | (((Byte(high + i) >> (2 * run)) & 3) << 4));
  }
}

}  // namespace

Result<WeightBlock> WeightBlockOf(uint32_t ggml_type) {
  switch (static_cast<WeightType>(ggml_type)) {
    case WeightType::kF32:
      return WeightBlock{1, 4};
    case WeightType::kF16:
    case WeightType::kBf16:
      return WeightBlock{1, 2};
    case WeightType::kQ4_0:
      return WeightBlock{32, 18};
    case WeightType::kQ4_1:
      return WeightBlock{32, 20};
    case WeightType::kQ5_0:
      return WeightBlock{32, 22};
    case WeightType::kQ5_1:
      return WeightBlock{32, 24};
    case WeightType::kQ8_0:
      return WeightBlock{32, 34};
    case WeightType::kQ4_K:
      return WeightBlock{256, 144};
    case WeightType::kQ5_K:
      return WeightBlock{256, 176};
    case WeightType::kQ6_K:
      return WeightBlock{256, 210};
  }
  return Fail(ErrorCode::kUnsupported,
              fmt::format("weights of ggml type {} are not supported", ggml_type));
}

std::string_view WeightTypeName(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return "F32";
    case WeightType::kF16:
      return "F16";
    case WeightType::kBf16:
      return "BF16";
    case WeightType::kQ4_0:
      return "Q4_0";
    case WeightType::kQ4_1:
      return "Q4_1";
    case WeightType::kQ5_0:
      return "Q5_0";
    case WeightType::kQ5_1:
      return "Q5_1";
    case WeightType::kQ8_0:
      return "Q8_0";
    case WeightType::kQ4_K:
      return "Q4_K";
    case WeightType::kQ5_K:
      return "Q5_K";
    case WeightType::kQ6_K:
      return "Q6_K";
  }
  return "unknown";
}

GroupFormat GroupFormatOf(WeightType type) {
  switch (type) {
    case WeightType::kQ4_0:
      return {.bits = 4, .group = 32, .zero = 8, .offset = false};
    case WeightType::kQ4_1:
    case WeightType::kQ4_K:
      return {.bits = 4, .group = 32, .zero = 0, .offset = true};
    case WeightType::kQ5_0:
      return {.bits = 5, .group = 32, .zero = 16, .offset = false};
    case WeightType::kQ5_1:
    case WeightType::kQ5_K:
      return {.bits = 5, .group = 32, .zero = 0, .offset = true};
    case WeightType::kQ8_0:
      return {.bits = 8, .group = 32, .zero = 128, .offset = false};
    case WeightType::kQ6_K:
      return {.bits = 6, .group = 16, .zero = 32, .offset = false};
    case WeightType::kF32:
    case WeightType::kF16:
    case WeightType::kBf16:
      break;
  }
  return {};
}

void ReadGroup(WeightType type, const std::byte* row, int64_t index, WeightGroup& out) {
  out.m = 0.0F;
  switch (type) {
    case WeightType::kQ4_0: {
      const std::byte* block = row + index * 18;
      out.d = Half(block);
      return ReadNibbles(block + 2, out.q);
    }
    case WeightType::kQ4_1: {
      const std::byte* block = row + index * 20;
      out.d = Half(block);
      out.m = Half(block + 2);
      return ReadNibbles(block + 4, out.q);
    }
    case WeightType::kQ5_0: {
      const std::byte* block = row + index * 22;
      out.d = Half(block);
      ReadNibbles(block + 6, out.q);
      return ReadFifthBits(block + 2, out.q);
    }
    case WeightType::kQ5_1: {
      const std::byte* block = row + index * 24;
      out.d = Half(block);
      out.m = Half(block + 2);
      ReadNibbles(block + 8, out.q);
      return ReadFifthBits(block + 4, out.q);
    }
    case WeightType::kQ8_0: {
      const std::byte* block = row + index * 34;
      out.d = Half(block);
      for (int i = 0; i < 32; ++i) out.q[i] = Byte(block + 2 + i) ^ 0x80;  // int8 + 128
      return;
    }
    case WeightType::kQ4_K:
      return ReadGroupK(row + index / 8 * 144, static_cast<int>(index % 8), false, out);
    case WeightType::kQ5_K:
      return ReadGroupK(row + index / 8 * 176, static_cast<int>(index % 8), true, out);
    case WeightType::kQ6_K:
      return ReadGroup6K(row + index / 16 * 210, static_cast<int>(index % 16), out);
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
      for (size_t i = 0; i < count; ++i) out[i] = Half(data + 2 * i);
      return;
    case WeightType::kBf16:
      for (size_t i = 0; i < count; ++i) out[i] = FromBf16(Bits16(data + 2 * i));
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
      const int q = weights.q[i];
      out[start + i] = format.offset ? weights.d * static_cast<float>(q) + weights.m
                                     : weights.d * static_cast<float>(q - format.zero);
    }
  }
}

}  // namespace reprise

// Products in plain C++: the reference that the other instruction sets are tested against, and the
// path of CPUs without AVX2.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/bf16.h"
#include "kernels/pack.h"
#include "kernels/pack_half.h"
#include "kernels/product.h"

namespace reprise::plain {
namespace {

#include "kernels/product_exact_kernel.h"

void QuantizeGroup(const float* x, int8_t* q, float& scale, float& scaled_sum, int32_t* half_sums) {
  uint32_t largest = 0;  // bits of |x|: ordered as the numbers are, infinity and NaN on top
  for (int i = 0; i < kActivationGroup; ++i) {
    largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  }
  const float magnitude = std::bit_cast<float>(largest);
  const bool finite = largest < 0x7f800000u;
  half_sums[0] = half_sums[1] = 0;
  if (!finite || magnitude < 0x1p-100F) {
    std::memset(q, 0, kActivationGroup);
    scale = scaled_sum = finite ? 0.0F : std::bit_cast<float>(0x7fc00000u);
    return;
  }
  const float inverse = 127.0F / magnitude;
  for (int i = 0; i < kActivationGroup; ++i) {
    q[i] = static_cast<int8_t>(std::nearbyintf(x[i] * inverse));
    half_sums[i / 16] += q[i];
  }
  scale = magnitude / 127.0F;
  scaled_sum = scale * static_cast<float>(half_sums[0] + half_sums[1]);
}

void QuantizeRow(const float* x, int columns, const QuantizedRows& out, int row) {
  for (int g = 0; g < columns / kActivationGroup; ++g) {
    const ptrdiff_t at = row * out.group_stride + g;
    QuantizeGroup(x + g * kActivationGroup, out.q + row * out.q_stride + g * kActivationGroup,
                  out.scale[at], out.scaled_sum[at], out.half_sums + 2 * at);
  }
}

void RoundRow(const float* x, int columns, const Bf16Rows& out, int row) {
  uint16_t* const to = out.x + row * out.stride;
  for (int i = 0; i < columns; ++i) to[i] = ToBf16(x[i]);
  if (columns % 2 != 0) to[columns] = 0;
}

// One group of a tile, unpacked to [inputs / 4][64][4], and its factors.
struct UnpackedGroup {
  uint8_t q[kActivationGroup * kTileOutputs];
  float d[kTileOutputs];
  float m[kTileOutputs];
};

void Unpack(const PackedFormat& format, const uint8_t* record, UnpackedGroup& out) {
  for (int i = 0; i < format.group; ++i) {
    for (int n = 0; n < kTileOutputs; ++n) {
      out.q[(i / 4 * kTileOutputs + n) * 4 + i % 4] =
          static_cast<uint8_t>(PackedInteger(format, record, n, i));
    }
  }
  const uint8_t* const factors =
      record + format.record_bytes - (format.offset ? 4 : 2) * kTileOutputs;
  uint16_t halves[2 * kTileOutputs] = {};
  std::memcpy(halves, factors, (format.offset ? 4 : 2) * kTileOutputs);
  for (int n = 0; n < kTileOutputs; ++n) {
    out.d[n] = HalfToFloat(halves[n]);
    out.m[n] = HalfToFloat(halves[kTileOutputs + n]);
  }
}

void MultiplyGroup(const PackedFormat& format, const UnpackedGroup& group, int64_t index,
                   const QuantizedRows& x, int row, float* y) {
  const int8_t* const q = x.q + row * x.q_stride + index * format.group;
  int32_t sums[kTileOutputs] = {};
  for (int quad = 0; quad < format.group / 4; ++quad) {
    const uint8_t* const w = group.q + quad * kTileOutputs * 4;
    for (int n = 0; n < kTileOutputs; ++n) {
      for (int i = 0; i < 4; ++i) sums[n] += w[4 * n + i] * q[4 * quad + i];
    }
  }
  const int64_t half = index * format.group / 16;
  const int32_t* const half_sums = x.half_sums + 2 * row * x.group_stride + half;
  const int32_t sum = format.group == 16 ? half_sums[0] : half_sums[0] + half_sums[1];
  const ptrdiff_t at = row * x.group_stride + half / 2;
  const float scale = x.scale[at];
  const float scaled_sum = format.group == 16 ? scale * static_cast<float>(sum) : x.scaled_sum[at];
  for (int n = 0; n < kTileOutputs; ++n) {
    if (format.offset) {
      y[n] += static_cast<float>(sums[n]) * (group.d[n] * scale);
      y[n] += group.m[n] * scaled_sum;
    } else {
      y[n] += static_cast<float>(sums[n] - format.zero * sum) * (group.d[n] * scale);
    }
  }
}

void QuantizedTile(const TileCall& call) {
  const PackedFormat& format = *call.format;
  auto& group = *reinterpret_cast<UnpackedGroup*>(call.scratch);
  for (int r = 0; r < call.rows; ++r) {
    std::fill_n(call.y + r * call.y_stride, kTileOutputs, 0.0F);
  }
  for (int64_t g = 0; g < call.columns / format.group; ++g) {
    Unpack(format, call.tile + static_cast<size_t>(g) * format.record_bytes, group);
    for (int r = 0; r < call.rows; ++r) {
      MultiplyGroup(format, group, g, *call.quantized, call.first_row + r,
                    call.y + r * call.y_stride);
    }
  }
}

void Bf16Tile(const TileCall& call) {
  for (int r = 0; r < call.rows; ++r) {
    const uint16_t* const x = call.bf16->x + (call.first_row + r) * call.bf16->stride;
    float* const y = call.y + r * call.y_stride;
    std::fill_n(y, kTileOutputs, 0.0F);
    for (int64_t pair = 0; pair < (call.columns + 1) / 2; ++pair) {
      uint16_t w[2 * kTileOutputs];
      std::memcpy(w, call.tile + static_cast<size_t>(pair) * sizeof(w), sizeof(w));
      const float x0 = FromBf16(x[2 * pair]);
      const float x1 = FromBf16(x[2 * pair + 1]);
      for (int n = 0; n < kTileOutputs; ++n) {
        y[n] += x0 * FromBf16(w[2 * n]);
        y[n] += x1 * FromBf16(w[2 * n + 1]);
      }
    }
  }
}

static_assert(sizeof(UnpackedGroup) <= kTileScratchBytes);

}  // namespace

const ProductKernels kProduct = {.quantize_row = QuantizeRow,
                                 .round_row = RoundRow,
                                 .quantized_tile = QuantizedTile,
                                 .bf16_tile = Bf16Tile,
                                 .exact_rows = ExactRows};

}  // namespace reprise::plain

#pragma once

// Activations in the forms that products take (ProductKernels::quantize_row and round_row), over a
// vector type (simd_*.h).

#include "kernels/product.h"

namespace reprise {

template <typename Floats>
void QuantizeRow(const float* x, int columns, const QuantizedRows& out, int row) {
  using Integers = typename Floats::Integers;
  constexpr int kParts = kActivationGroup / Floats::kLanes;
  for (int g = 0; g < columns / kActivationGroup; ++g, x += kActivationGroup) {
    const ptrdiff_t at = row * out.group_stride + g;
    int8_t* const q = out.q + row * out.q_stride + g * kActivationGroup;
    Floats parts[kParts];
    for (int i = 0; i < kParts; ++i) parts[i] = Floats::Load(x + Floats::kLanes * i);
    // Bits of |x| are ordered as the numbers are, infinity and NaN on top.
    Integers bits = MagnitudeBits(parts[0]);
    for (int i = 1; i < kParts; ++i) bits = Max(bits, MagnitudeBits(parts[i]));
    const int32_t largest = Largest(bits);
    float magnitude;
    __builtin_memcpy(&magnitude, &largest, sizeof(magnitude));
    const bool finite = largest < 0x7f800000;
    if (!finite || magnitude < 0x1p-100F) {
      __builtin_memset(q, 0, kActivationGroup);
      out.scale[at] = out.scaled_sum[at] = finite ? 0.0F : __builtin_nanf("");
      out.half_sums[2 * at] = out.half_sums[2 * at + 1] = 0;
      continue;
    }
    const Floats inverse = Floats::All(127.0F / magnitude);
    int32_t sum = 0;
    for (int half = 0; half < 2; ++half) {
      Integers half_sum = Integers::All(0);
      for (int i = half * kParts / 2; i < (half + 1) * kParts / 2; ++i) {
        const Integers rounded = ToIntegers(parts[i] * inverse);
        StoreBytes(rounded, q + Floats::kLanes * i);
        half_sum = half_sum + rounded;
      }
      out.half_sums[2 * at + half] = Sum(half_sum);
      sum += out.half_sums[2 * at + half];
    }
    out.scale[at] = magnitude / 127.0F;
    out.scaled_sum[at] = out.scale[at] * static_cast<float>(sum);
  }
}

template <typename Floats>
void RoundRow(const float* x, int columns, const Bf16Rows& out, int row) {
  uint16_t* const to = out.x + row * out.stride;
  const int whole = columns / Floats::kLanes * Floats::kLanes;
  for (int i = 0; i < whole; i += Floats::kLanes) StoreBf16(Floats::Load(x + i), to + i);
  // A last odd column is followed by the 0 that completes its pair.
  const auto rest = static_cast<size_t>(columns - whole);
  uint16_t rounded[Floats::kLanes];
  StoreBf16(Floats::Load(x + whole, Floats::FirstLanes(columns - whole)), rounded);
  __builtin_memcpy(to + whole, rounded, sizeof(uint16_t) * (rest + rest % 2));
}

}  // namespace reprise

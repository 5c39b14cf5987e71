#pragma once

// Activations in the forms that products take (ProductKernels::quantize_row and round_row), over a
// vector type V (product_vector_avx2.h).

#include "kernels/product.h"

namespace reprise {

template <typename V>
void QuantizeRow(const float* x, int columns, const QuantizedRows& out, int row) {
  constexpr int kParts = kActivationGroup / V::kLanes;
  for (int g = 0; g < columns / kActivationGroup; ++g, x += kActivationGroup) {
    const ptrdiff_t at = row * out.group_stride + g;
    int8_t* const q = out.q + row * out.q_stride + g * kActivationGroup;
    typename V::Floats parts[kParts];
    for (int i = 0; i < kParts; ++i) parts[i] = V::LoadFloats(x + V::kLanes * i);
    // Bits of |x| are ordered as the numbers are, infinity and NaN on top.
    typename V::Ints bits = V::MagnitudeBits(parts[0]);
    for (int i = 1; i < kParts; ++i) bits = V::Largest(bits, V::MagnitudeBits(parts[i]));
    const uint32_t largest = V::LargestOf(bits);
    float magnitude;
    __builtin_memcpy(&magnitude, &largest, sizeof(magnitude));
    const bool finite = largest < 0x7f800000u;
    if (!finite || magnitude < 0x1p-100F) {
      __builtin_memset(q, 0, kActivationGroup);
      out.scale[at] = out.scaled_sum[at] = finite ? 0.0F : __builtin_nanf("");
      out.half_sums[2 * at] = out.half_sums[2 * at + 1] = 0;
      continue;
    }
    const typename V::Floats inverse = V::EachFloat(127.0F / magnitude);
    int32_t sum = 0;
    for (int half = 0; half < 2; ++half) {
      typename V::Ints half_sum = V::EachInt(0);
      for (int i = half * kParts / 2; i < (half + 1) * kParts / 2; ++i) {
        const typename V::Ints rounded = V::Round(V::Multiply(parts[i], inverse));
        V::StoreAsBytes(q + V::kLanes * i, rounded);
        half_sum = V::Add(half_sum, rounded);
      }
      out.half_sums[2 * at + half] = V::SumOf(half_sum);
      sum += out.half_sums[2 * at + half];
    }
    out.scale[at] = magnitude / 127.0F;
    out.scaled_sum[at] = out.scale[at] * static_cast<float>(sum);
  }
}

template <typename V>
void RoundRow(const float* x, int columns, const Bf16Rows& out, int row) {
  uint16_t* const to = out.x + row * out.stride;
  const int whole = columns / V::kLanes * V::kLanes;
  for (int i = 0; i < whole; i += V::kLanes) V::StoreAsBf16(to + i, V::LoadFloats(x + i));
  // A last odd column is followed by the 0 that completes its pair.
  const auto rest = static_cast<size_t>(columns - whole);
  float last[V::kLanes] = {};
  uint16_t rounded[V::kLanes];
  __builtin_memcpy(last, x + whole, sizeof(float) * rest);
  V::StoreAsBf16(rounded, V::LoadFloats(last));
  __builtin_memcpy(to + whole, rounded, sizeof(uint16_t) * (rest + rest % 2));
}

}  // namespace reprise

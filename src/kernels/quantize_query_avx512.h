#pragma once

// One row of q in 8 bits with AVX-512, for the files compiled for it alone (hence the anonymous
// namespace): the bits of QuantizeHead (quantize_head.h).

#include <immintrin.h>

#include <cstdint>

#include "base/limits.h"
#include "kernels/quantize_head.h"

namespace reprise {
namespace {

inline int Min(int a, int b) { return a < b ? a : b; }

inline __mmask16 FirstLanes(int count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1U);
}

// RotateHead (quantize_head.h) from x to `out`, which is written in whole vectors.
inline void RotateQuery(const float* x, int head_dim, float* out) {
  const int size = RotationSize(head_dim);
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int d = 0; d < head_dim; d += 16) {
    __m512 v = _mm512_maskz_loadu_ps(FirstLanes(head_dim - d), x + d);
    for (int distance = 1; distance < Min(16, size); distance *= 2) {
      const __m512i bit = _mm512_set1_epi32(distance);
      const __m512 other = _mm512_permutexvar_ps(_mm512_xor_si512(lane, bit), v);
      const __mmask16 upper = _mm512_test_epi32_mask(lane, bit);
      v = _mm512_mask_sub_ps(_mm512_add_ps(v, other), upper, other, v);
    }
    _mm512_store_ps(out + d, v);
  }
  for (int distance = 16; distance < size; distance *= 2) {
    for (int first = 0; first < head_dim; first += 2 * distance) {
      for (int i = first; i < first + distance; i += 16) {
        const __m512 a = _mm512_load_ps(out + i);
        const __m512 b = _mm512_load_ps(out + i + distance);
        _mm512_store_ps(out + i, _mm512_add_ps(a, b));
        _mm512_store_ps(out + i + distance, _mm512_sub_ps(a, b));
      }
    }
  }
}

// QuantizeHead (quantize_head.h) of one row: its quads go to to[0], to[stride], ….
inline void QuantizeQuery(const float* from, int head_dim, uint32_t* to, int stride, float* scale,
                          int32_t* start) {
  alignas(64) float rotated[limits::kMaxHeadDimension];
  RotateQuery(from, head_dim, rotated);
  const __m512i magnitude_bits = _mm512_set1_epi32(0x7FFFFFFF);
  __m512i top = _mm512_setzero_si512();
  for (int d = 0; d < head_dim; d += 16) {
    const __m512i x = _mm512_load_si512(rotated + d);
    top = _mm512_max_epu32(top, _mm512_and_si512(x, magnitude_bits));
  }
  const uint32_t largest = _mm512_reduce_max_epu32(top);
  float maximum;
  __builtin_memcpy(&maximum, &largest, sizeof(maximum));
  const bool finite = largest < 0x7F800000U;
  const bool zero = !finite || maximum < 0x1p-100F;
  const __m512 inverse = _mm512_set1_ps(zero ? 0.0F : 127.0F / maximum);
  __m512i sum = _mm512_setzero_si512();
  for (int d = 0; d < head_dim; d += 16) {
    const __mmask16 mask = FirstLanes(zero ? 0 : 16);
    const __m512i values =
        _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_load_ps(mask, rotated + d), inverse));
    sum = _mm512_add_epi32(sum, values);
    alignas(16) uint32_t words[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(words), _mm512_cvtepi32_epi8(values));
    for (int i = 0; i < Min(4, (head_dim - d + 3) / 4); ++i) to[(d / 4 + i) * stride] = words[i];
  }
  *start = -128 * _mm512_reduce_add_epi32(sum);
  *scale = zero ? (finite ? 0.0F : __builtin_nanf("")) : maximum / 127.0F;
}

}  // namespace
}  // namespace reprise

// Elementwise operations with AVX-512.

#include <immintrin.h>

#include <cstdint>

#include "kernels/elementwise.h"
#include "kernels/exp_avx512.h"

namespace reprise {
namespace {

// The lanes of a vector at `done` of `count` elements that exist.
__mmask16 Lanes(int64_t done, int64_t count) {
  return count - done >= 16 ? static_cast<__mmask16>(0xFFFF)
                            : static_cast<__mmask16>((1U << (count - done)) - 1U);
}

// Two vectors of lanes, each column in ascending order into the lane that is its own, then the
// lanes come together.
float SumOfSquares(const float* x, int columns) {
  __m512 even = _mm512_setzero_ps();
  __m512 odd = _mm512_setzero_ps();
  int c = 0;
  for (; c + 32 <= columns; c += 32) {
    const __m512 a = _mm512_loadu_ps(x + c);
    const __m512 b = _mm512_loadu_ps(x + c + 16);
    even = _mm512_fmadd_ps(a, a, even);
    odd = _mm512_fmadd_ps(b, b, odd);
  }
  for (; c < columns; c += 16) {
    const __m512 a = _mm512_maskz_loadu_ps(Lanes(c, columns), x + c);
    even = _mm512_fmadd_ps(a, a, even);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

float SquareRoot(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

void NormRow(const float* x, int columns, const float* weight, float epsilon, float* out) {
  const float mean = SumOfSquares(x, columns) / static_cast<float>(columns);
  const __m512 inverse = _mm512_set1_ps(1.0F / SquareRoot(mean + epsilon));
  for (int c = 0; c < columns; c += 16) {
    const __mmask16 mask = Lanes(c, columns);
    const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + c), inverse);
    _mm512_mask_storeu_ps(out + c, mask,
                          _mm512_mul_ps(scaled, _mm512_maskz_loadu_ps(mask, weight + c)));
  }
}

// Pairs (2i, 2i+1): 8 pairs a vector, (a, b) becomes (a c - b s, b c + a s).
void RotateAdjacent(float* x, const float* angles, int half) {
  const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  for (int i = 0; i < half; i += 8) {
    const __mmask16 pairs = static_cast<__mmask16>(Lanes(i, half) & 0xFF);
    const __mmask16 mask = Lanes(2 * i, 2 * half);
    const __m512 cos = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(pairs, angles + i));
    const __m512 sin =
        _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(pairs, angles + half + i));
    const __m512 v = _mm512_maskz_loadu_ps(mask, x + 2 * i);
    const __m512 swapped = _mm512_permute_ps(v, 0xB1);
    _mm512_mask_storeu_ps(x + 2 * i, mask, _mm512_fmaddsub_ps(v, cos, _mm512_mul_ps(swapped, sin)));
  }
}

// Pairs (i, i + half).
void RotateHalves(float* x, const float* angles, int half) {
  for (int i = 0; i < half; i += 16) {
    const __mmask16 mask = Lanes(i, half);
    const __m512 cos = _mm512_maskz_loadu_ps(mask, angles + i);
    const __m512 sin = _mm512_maskz_loadu_ps(mask, angles + half + i);
    const __m512 a = _mm512_maskz_loadu_ps(mask, x + i);
    const __m512 b = _mm512_maskz_loadu_ps(mask, x + half + i);
    _mm512_mask_storeu_ps(x + i, mask, _mm512_fmsub_ps(a, cos, _mm512_mul_ps(b, sin)));
    _mm512_mask_storeu_ps(x + half + i, mask, _mm512_fmadd_ps(b, cos, _mm512_mul_ps(a, sin)));
  }
}

void SwiGluSlice(float* gate, const float* up, int64_t count) {
  const __m512 one = _mm512_set1_ps(1.0F);
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = Lanes(i, count);
    const __m512 g = _mm512_maskz_loadu_ps(mask, gate + i);
    const __m512 down = _mm512_add_ps(one, Exp16(_mm512_sub_ps(_mm512_setzero_ps(), g)));
    const __m512 silu = _mm512_div_ps(g, down);
    _mm512_mask_storeu_ps(gate + i, mask, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(mask, up + i)));
  }
}

void AddSlice(float* x, const float* y, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = Lanes(i, count);
    const __m512 a = _mm512_maskz_loadu_ps(mask, x + i);
    _mm512_mask_storeu_ps(x + i, mask, _mm512_add_ps(a, _mm512_maskz_loadu_ps(mask, y + i)));
  }
}

void ExpSlice(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = Lanes(i, count);
    _mm512_mask_storeu_ps(out + i, mask, Exp16(_mm512_maskz_loadu_ps(mask, x + i)));
  }
}

}  // namespace

namespace avx512 {

const ElementwiseKernels kElementwise = {NormRow,     RotateAdjacent, RotateHalves,
                                         SwiGluSlice, AddSlice,       ExpSlice};

}  // namespace avx512
}  // namespace reprise

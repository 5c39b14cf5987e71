// Elementwise operations with AVX-512.

#include <immintrin.h>

#include <cstdint>

#include "base/check.h"
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

__m512 One() { return _mm512_set1_ps(1.0F); }

// x / (1 + e^-z).
__m512 TimesSigmoid(__m512 x, __m512 z) {
  return _mm512_div_ps(x, _mm512_add_ps(One(), Exp16(_mm512_sub_ps(_mm512_setzero_ps(), z))));
}

__m512 Silu(__m512 x) { return TimesSigmoid(x, x); }

// x/2 (1 + tanh(z)) = x / (1 + e^-2z) with z = √(2/π) (x + 0.044715 x³).
__m512 Gelu(__m512 x) {
  const __m512 slope = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.07135481627260025F),
                                       _mm512_set1_ps(1.5957691216057308F));
  return TimesSigmoid(x, _mm512_mul_ps(x, slope));
}

// The second operand of min and max wins where one is NaN.
__m512 Relu2(__m512 x) {
  const __m512 positive = _mm512_max_ps(_mm512_setzero_ps(), x);
  return _mm512_mul_ps(positive, positive);
}

__m512 ClampedSiluTimes(__m512 gate, __m512 up) {
  const __m512 limit = _mm512_set1_ps(7.0F);
  const __m512 g = _mm512_min_ps(limit, gate);
  const __m512 u = _mm512_max_ps(_mm512_set1_ps(-7.0F), _mm512_min_ps(limit, up));
  const __m512 silu = TimesSigmoid(g, _mm512_mul_ps(_mm512_set1_ps(1.702F), g));
  return _mm512_mul_ps(silu, _mm512_add_ps(u, One()));
}

template <typename Function>
void GateSlice(float* gate, const float* up, int64_t count, Function function) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = Lanes(i, count);
    _mm512_mask_storeu_ps(
        gate + i, mask,
        function(_mm512_maskz_loadu_ps(mask, gate + i), _mm512_maskz_loadu_ps(mask, up + i)));
  }
}

void ActivateGatedSlice(Activation activation, float* gate, const float* up, int64_t count) {
  switch (activation) {
    case Activation::kSilu:
      return GateSlice(gate, up, count,
                       [](__m512 g, __m512 u) { return _mm512_mul_ps(Silu(g), u); });
    case Activation::kGelu:
      return GateSlice(gate, up, count,
                       [](__m512 g, __m512 u) { return _mm512_mul_ps(Gelu(g), u); });
    case Activation::kRelu2:
      return GateSlice(gate, up, count,
                       [](__m512 g, __m512 u) { return _mm512_mul_ps(Relu2(g), u); });
    case Activation::kClampedSilu:
      return GateSlice(gate, up, count, [](__m512 g, __m512 u) { return ClampedSiluTimes(g, u); });
  }
}

template <typename Function>
void MapSlice(float* x, int64_t count, Function function) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = Lanes(i, count);
    _mm512_mask_storeu_ps(x + i, mask, function(_mm512_maskz_loadu_ps(mask, x + i)));
  }
}

void ActivateSlice(Activation activation, float* x, int64_t count) {
  switch (activation) {
    case Activation::kSilu:
      return MapSlice(x, count, [](__m512 v) { return Silu(v); });
    case Activation::kGelu:
      return MapSlice(x, count, [](__m512 v) { return Gelu(v); });
    case Activation::kRelu2:
      return MapSlice(x, count, [](__m512 v) { return Relu2(v); });
    case Activation::kClampedSilu:
      CHECK(false, "an activation of two operands");
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

const ElementwiseKernels kElementwise = {
    NormRow, RotateAdjacent, RotateHalves, ActivateGatedSlice, ActivateSlice, AddSlice, ExpSlice};

}  // namespace avx512
}  // namespace reprise

// Elementwise operations with AVX2 and FMA. Tails go through maskload and maskstore, so that an
// element takes the same instructions wherever it lies.

#include <immintrin.h>

#include <cstdint>

#include "base/check.h"
#include "kernels/elementwise.h"
#include "kernels/exp_avx2.h"

namespace reprise {
namespace {

// The lanes of a vector at `done` of `count` elements that exist.
__m256i Lanes(int64_t done, int64_t count) {
  const int left = count - done >= 8 ? 8 : static_cast<int>(count - done);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

__m256 Load(const float* from, __m256i mask) { return _mm256_maskload_ps(from, mask); }
void Store(float* to, __m256i mask, __m256 v) { _mm256_maskstore_ps(to, mask, v); }

// Two vectors of lanes, each column in ascending order into the lane that is its own, then the
// lanes come together.
float SumOfSquares(const float* x, int columns) {
  __m256 even = _mm256_setzero_ps();
  __m256 odd = _mm256_setzero_ps();
  int c = 0;
  for (; c + 16 <= columns; c += 16) {
    const __m256 a = _mm256_loadu_ps(x + c);
    const __m256 b = _mm256_loadu_ps(x + c + 8);
    even = _mm256_fmadd_ps(a, a, even);
    odd = _mm256_fmadd_ps(b, b, odd);
  }
  for (; c < columns; c += 8) {
    const __m256 a = Load(x + c, Lanes(c, columns));
    even = _mm256_fmadd_ps(a, a, even);
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, _mm256_add_ps(even, odd));
  float sum = 0.0F;
  for (const float lane : lanes) sum += lane;
  return sum;
}

float SquareRoot(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

void NormRow(const float* x, int columns, const float* weight, float epsilon, float* out) {
  const float mean = SumOfSquares(x, columns) / static_cast<float>(columns);
  const __m256 inverse = _mm256_set1_ps(1.0F / SquareRoot(mean + epsilon));
  for (int c = 0; c < columns; c += 8) {
    const __m256i mask = Lanes(c, columns);
    const __m256 scaled = _mm256_mul_ps(Load(x + c, mask), inverse);
    Store(out + c, mask, _mm256_mul_ps(scaled, Load(weight + c, mask)));
  }
}

// Pairs (2i, 2i+1): 4 pairs a vector, (a, b) becomes (a c - b s, b c + a s).
void RotateAdjacent(float* x, const float* angles, int half) {
  const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  for (int i = 0; i < half; i += 4) {
    const __m256i pairs = Lanes(i, half < i + 4 ? half : i + 4);
    const __m256i mask = Lanes(2 * i, 2 * half);
    const __m256 cos = _mm256_permutevar8x32_ps(Load(angles + i, pairs), twice);
    const __m256 sin = _mm256_permutevar8x32_ps(Load(angles + half + i, pairs), twice);
    const __m256 v = Load(x + 2 * i, mask);
    const __m256 swapped = _mm256_permute_ps(v, 0xB1);
    Store(x + 2 * i, mask, _mm256_fmaddsub_ps(v, cos, _mm256_mul_ps(swapped, sin)));
  }
}

// Pairs (i, i + half).
void RotateHalves(float* x, const float* angles, int half) {
  for (int i = 0; i < half; i += 8) {
    const __m256i mask = Lanes(i, half);
    const __m256 cos = Load(angles + i, mask);
    const __m256 sin = Load(angles + half + i, mask);
    const __m256 a = Load(x + i, mask);
    const __m256 b = Load(x + half + i, mask);
    Store(x + i, mask, _mm256_fmsub_ps(a, cos, _mm256_mul_ps(b, sin)));
    Store(x + half + i, mask, _mm256_fmadd_ps(b, cos, _mm256_mul_ps(a, sin)));
  }
}

__m256 One() { return _mm256_set1_ps(1.0F); }

// x / (1 + e^-z).
__m256 TimesSigmoid(__m256 x, __m256 z) {
  return _mm256_div_ps(x, _mm256_add_ps(One(), Exp8(_mm256_sub_ps(_mm256_setzero_ps(), z))));
}

__m256 Silu(__m256 x) { return TimesSigmoid(x, x); }

// x/2 (1 + tanh(z)) = x / (1 + e^-2z) with z = √(2/π) (x + 0.044715 x³).
__m256 Gelu(__m256 x) {
  const __m256 slope = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(0.07135481627260025F),
                                       _mm256_set1_ps(1.5957691216057308F));
  return TimesSigmoid(x, _mm256_mul_ps(x, slope));
}

// The second operand of min and max wins where one is NaN.
__m256 Relu2(__m256 x) {
  const __m256 positive = _mm256_max_ps(_mm256_setzero_ps(), x);
  return _mm256_mul_ps(positive, positive);
}

__m256 ClampedSiluTimes(__m256 gate, __m256 up) {
  const __m256 limit = _mm256_set1_ps(7.0F);
  const __m256 g = _mm256_min_ps(limit, gate);
  const __m256 u = _mm256_max_ps(_mm256_set1_ps(-7.0F), _mm256_min_ps(limit, up));
  const __m256 silu = TimesSigmoid(g, _mm256_mul_ps(_mm256_set1_ps(1.702F), g));
  return _mm256_mul_ps(silu, _mm256_add_ps(u, One()));
}

template <typename Function>
void GateSlice(float* gate, const float* up, int64_t count, Function function) {
  for (int64_t i = 0; i < count; i += 8) {
    const __m256i mask = Lanes(i, count);
    Store(gate + i, mask, function(Load(gate + i, mask), Load(up + i, mask)));
  }
}

void ActivateGatedSlice(Activation activation, float* gate, const float* up, int64_t count) {
  switch (activation) {
    case Activation::kSilu:
      return GateSlice(gate, up, count,
                       [](__m256 g, __m256 u) { return _mm256_mul_ps(Silu(g), u); });
    case Activation::kGelu:
      return GateSlice(gate, up, count,
                       [](__m256 g, __m256 u) { return _mm256_mul_ps(Gelu(g), u); });
    case Activation::kRelu2:
      return GateSlice(gate, up, count,
                       [](__m256 g, __m256 u) { return _mm256_mul_ps(Relu2(g), u); });
    case Activation::kClampedSilu:
      return GateSlice(gate, up, count, [](__m256 g, __m256 u) { return ClampedSiluTimes(g, u); });
  }
}

template <typename Function>
void MapSlice(float* x, int64_t count, Function function) {
  for (int64_t i = 0; i < count; i += 8) {
    const __m256i mask = Lanes(i, count);
    Store(x + i, mask, function(Load(x + i, mask)));
  }
}

void ActivateSlice(Activation activation, float* x, int64_t count) {
  switch (activation) {
    case Activation::kSilu:
      return MapSlice(x, count, [](__m256 v) { return Silu(v); });
    case Activation::kGelu:
      return MapSlice(x, count, [](__m256 v) { return Gelu(v); });
    case Activation::kRelu2:
      return MapSlice(x, count, [](__m256 v) { return Relu2(v); });
    case Activation::kClampedSilu:
      CHECK(false, "an activation of two operands");
  }
}

void AddSlice(float* x, const float* y, int64_t count) {
  for (int64_t i = 0; i < count; i += 8) {
    const __m256i mask = Lanes(i, count);
    Store(x + i, mask, _mm256_add_ps(Load(x + i, mask), Load(y + i, mask)));
  }
}

void ExpSlice(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += 8) {
    const __m256i mask = Lanes(i, count);
    Store(out + i, mask, Exp8(Load(x + i, mask)));
  }
}

}  // namespace

namespace avx2 {

const ElementwiseKernels kElementwise = {
    NormRow, RotateAdjacent, RotateHalves, ActivateGatedSlice, ActivateSlice, AddSlice, ExpSlice};

}  // namespace avx2
}  // namespace reprise

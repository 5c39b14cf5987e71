// Elementwise operations with AVX2 and FMA. Tails go through maskload and maskstore, so that an
// element takes the same instructions wherever it lies.

#include <immintrin.h>

#include <cstdint>

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

void SwiGluSlice(float* gate, const float* up, int64_t count) {
  const __m256 one = _mm256_set1_ps(1.0F);
  for (int64_t i = 0; i < count; i += 8) {
    const __m256i mask = Lanes(i, count);
    const __m256 g = Load(gate + i, mask);
    const __m256 down = _mm256_add_ps(one, Exp8(_mm256_sub_ps(_mm256_setzero_ps(), g)));
    Store(gate + i, mask, _mm256_mul_ps(_mm256_div_ps(g, down), Load(up + i, mask)));
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

const ElementwiseKernels kElementwise = {NormRow,     RotateAdjacent, RotateHalves,
                                         SwiGluSlice, AddSlice,       ExpSlice};

}  // namespace avx2
}  // namespace reprise

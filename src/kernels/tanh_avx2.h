#pragma once

// tanh x of 8 lanes, for the files compiled for AVX2 alone. The formula and bound of tanh_plain.h,
// with fused products and sums.

#include <immintrin.h>

#include "kernels/exp_avx2.h"

namespace reprise {
namespace {

inline __m256 Tanh8(__m256 x) {
  const __m256 square = _mm256_mul_ps(x, x);
  __m256 p = _mm256_set1_ps(-0.0055862474F);
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(0.020534517F));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-0.053708334F));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(0.13331077F));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-0.3333327F));
  const __m256 near = _mm256_fmadd_ps(p, _mm256_mul_ps(x, square), x);
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0F));
  const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x);
  const __m256 one = _mm256_set1_ps(1.0F);
  const __m256 power = Exp8(_mm256_add_ps(magnitude, magnitude));
  const __m256 far =
      _mm256_sub_ps(one, _mm256_div_ps(_mm256_set1_ps(2.0F), _mm256_add_ps(power, one)));
  const __m256 is_near = _mm256_cmp_ps(magnitude, _mm256_set1_ps(0.625F), _CMP_LT_OQ);
  return _mm256_blendv_ps(_mm256_or_ps(far, sign), near, is_near);
}

}  // namespace
}  // namespace reprise

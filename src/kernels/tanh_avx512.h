#pragma once

// tanh x of 16 lanes, for the files compiled for AVX-512 alone. The formula and bound of
// tanh_plain.h, with fused products and sums.

#include <immintrin.h>

#include "kernels/exp_avx512.h"

namespace reprise {
namespace {

inline __m512 Tanh16(__m512 x) {
  const __m512 square = _mm512_mul_ps(x, x);
  __m512 p = _mm512_set1_ps(-0.0055862474F);
  p = _mm512_fmadd_ps(p, square, _mm512_set1_ps(0.020534517F));
  p = _mm512_fmadd_ps(p, square, _mm512_set1_ps(-0.053708334F));
  p = _mm512_fmadd_ps(p, square, _mm512_set1_ps(0.13331077F));
  p = _mm512_fmadd_ps(p, square, _mm512_set1_ps(-0.3333327F));
  const __m512 near = _mm512_fmadd_ps(p, _mm512_mul_ps(x, square), x);
  const __m512 magnitude = _mm512_abs_ps(x);
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 power = Exp16(_mm512_add_ps(magnitude, magnitude));
  const __m512 far =
      _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2.0F), _mm512_add_ps(power, one)));
  const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0F));
  const __mmask16 is_near = _mm512_cmp_ps_mask(magnitude, _mm512_set1_ps(0.625F), _CMP_LT_OQ);
  return _mm512_mask_mov_ps(_mm512_or_ps(far, sign), is_near, near);
}

}  // namespace
}  // namespace reprise

#pragma once

// e^x of 16 lanes, for the files compiled for AVX-512 alone (hence the anonymous namespace: each
// such file has its own copy, and none leaks into portable code).
//
// e^x = 2^n 2^f with n = round(x log2 e) and f in [-1/2, 1/2]; f is formed with log2 e in two
// parts, so that it is right to 2^-25. 2^f is 1 plus a polynomial of degree 6 (minimax fit of the
// relative error, 2e-9; 1.6e-8 with coefficients in f32), so that e^0 is 1 exactly.

#include <immintrin.h>

namespace reprise {
namespace {

inline __m512 Exp16(__m512 x) {
  // Beyond these the result is 0 or infinite anyway; the second operand of min and max wins where
  // one is NaN.
  x = _mm512_min_ps(_mm512_set1_ps(104.0F), _mm512_max_ps(_mm512_set1_ps(-104.0F), x));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.4426950216293335F)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 f = _mm512_fmsub_ps(x, _mm512_set1_ps(1.4426950216293335F), n);
  f = _mm512_fmadd_ps(x, _mm512_set1_ps(1.925963033500011e-08F), f);
  __m512 p = _mm512_set1_ps(0.00015353361959569156F);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.0013398875016719103F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.00961843691766262F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.055503323674201965F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.24022647738456726F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6931471824645996F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, n);
}

}  // namespace
}  // namespace reprise

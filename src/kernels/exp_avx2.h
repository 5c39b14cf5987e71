#pragma once

// e^x of 8 lanes, for the files compiled for AVX2 alone. The formula of exp_avx512.h; 2^n comes in
// two factors, because n reaches from -150 to 150 and an exponent only from -126 to 127.

#include <immintrin.h>

namespace reprise {
namespace {

inline __m256 Exp8(__m256 x) {
  x = _mm256_min_ps(_mm256_set1_ps(104.0F), _mm256_max_ps(_mm256_set1_ps(-104.0F), x));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.4426950216293335F)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 f = _mm256_fmsub_ps(x, _mm256_set1_ps(1.4426950216293335F), n);
  f = _mm256_fmadd_ps(x, _mm256_set1_ps(1.925963033500011e-08F), f);
  __m256 p = _mm256_set1_ps(0.00015353361959569156F);
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(0.0013398875016719103F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(0.00961843691766262F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(0.055503323674201965F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(0.24022647738456726F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(0.6931471824645996F));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0F));
  const __m256i exponent = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(exponent, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(exponent, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}

}  // namespace
}  // namespace reprise

#pragma once

// e^x in plain C++, written so that a loop over it becomes vector code. The formula and its bound
// are those of exp_lanes.h, with products and sums rounded one by one: log2 e is replaced by
// ln 2 in two parts (the first of 9 bits, so that its product with n is exact).

#include <bit>
#include <cstdint>

#include "kernels/exp_series.h"

namespace reprise {

// c[0] xⁿ + c[1] xⁿ⁻¹ + … + c[n]; unrolled, or a loop over it would stay scalar.
template <int kCount>
inline float SeriesPlain(const float (&c)[kCount], float x) {
  float p = c[0];
#pragma GCC unroll 8
  for (int i = 1; i < kCount; ++i) p = p * x + c[i];
  return p;
}

inline float ExpPlain(float x) {
  // Beyond 104 either way the result is 0 or infinite: clamped there, NaN passes. Compared as
  // integers, because a comparison of floats would keep the loop scalar.
  const int32_t bits = std::bit_cast<int32_t>(x);
  const int32_t magnitude = bits & 0x7FFFFFFF;
  const int32_t limit = 0x42D00000;  // 104
  const bool outside = (magnitude > limit) & (magnitude <= 0x7F800000);
  x = std::bit_cast<float>(outside ? (bits ^ magnitude) | limit : bits);
  // Adding and subtracting 1.5 * 2^23 rounds to an integer, which the low bits hold meanwhile.
  const float shifted = x * 1.4426950408889634F + 12582912.0F;
  const float n = shifted - 12582912.0F;
  const float r = (x - n * 0.693359375F) - n * -2.12194440054690583e-4F;
  const float f = r * 1.4426950408889634F;
  const float p = SeriesPlain(kExp2Series, f);
  // 2^n in two factors: n reaches from -150 to 150, an exponent from -126 to 127.
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - 0x4B400000;
  const int32_t half = exponent >> 1;
  const float first = std::bit_cast<float>((half + 127) << 23);
  const float second = std::bit_cast<float>((exponent - half + 127) << 23);
  return p * first * second;
}

}  // namespace reprise

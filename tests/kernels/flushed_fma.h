#pragma once

// What an fma of x86 gives where denormals count as zero (FTZ and DAZ), in plain C++.

#include <cmath>

namespace reprise {

inline float DenormalAsZero(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? x * 0.0F : x; }

// a · b + c rounded once; a result that is below the normal numbers when rounded with an exponent
// without bounds is 0 of its sign.
inline float FlushedFma(float a, float b, float c) {
  a = DenormalAsZero(a);
  b = DenormalAsZero(b);
  c = DenormalAsZero(c);
  const float result = std::fma(a, b, c);
  if (std::fabs(result) > 0x1p-126F || result == 0 || std::isnan(result)) return result;
  // Where rounding to a denormal's step has given 2^-126, it may be less with all of 24 bits.
  float& smaller = std::fabs(a) < std::fabs(b) ? a : b;
  smaller *= 0x1p64F;
  const float scaled = std::fma(a, b, c * 0x1p64F);
  return std::fabs(scaled) < 0x1p-62F ? std::copysign(0.0F, result) : result;
}

}  // namespace reprise

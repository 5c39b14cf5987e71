#pragma once

// e^x and tanh x of each lane of a vector (simd_*.h), with fused products and sums. exp_plain.h and
// tanh_plain.h have the same formulas with products and sums rounded one by one, for loops that
// compilers turn into vector code.

#include "kernels/exp_series.h"

namespace reprise {
namespace {

// c[0] xⁿ + c[1] xⁿ⁻¹ + … + c[n].
template <typename Floats, int kCount>
inline Floats Series(const float (&c)[kCount], Floats x) {
  Floats p = Floats::All(c[0]);
  for (int i = 1; i < kCount; ++i) p = MulAdd(p, x, Floats::All(c[i]));
  return p;
}

// e^x = 2^n 2^f with n = round(x log2 e) and f in [-1/2, 1/2]; f is formed with log2 e in two
// parts, so that it is right to 2^-25. Within 2 ulp; NaN stays NaN.
template <typename Floats>
inline Floats Exp(Floats x) {
  // Beyond these the result is 0 or infinite anyway.
  x = Min(Floats::All(104.0F), Max(Floats::All(-104.0F), x));
  const Floats high = Floats::All(1.4426950216293335F);
  const Floats n = Nearest(x * high);
  const Floats f = MulAdd(x, Floats::All(1.925963033500011e-08F), MulSub(x, high, n));
  return TimesPowerOfTwo(Series(kExp2Series, f), n);
}

// Within 4 ulp; NaN stays NaN.
template <typename Floats>
inline Floats Tanh(Floats x) {
  const Floats square = x * x;
  const Floats near = MulAdd(Series(kTanhSeries, square), x * square, x);
  const Floats magnitude = Magnitude(x);
  const Floats one = Floats::All(1.0F);
  const Floats far = one - Floats::All(2.0F) / (Exp(magnitude + magnitude) + one);
  return Select(IsBelow(magnitude, Floats::All(kTanhNear)), near, WithSignOf(far, x));
}

}  // namespace
}  // namespace reprise

#pragma once

// tanh x in plain C++, written so that a loop over it becomes vector code; the formula is that of
// exp_series.h. Within 4 ulp; NaN stays NaN.

#include <bit>
#include <cstdint>

#include "kernels/exp_plain.h"
#include "kernels/exp_series.h"

namespace reprise {

inline float TanhPlain(float x) {
  const float square = x * x;
  const float p = SeriesPlain(kTanhSeries, square);
  const int32_t near = std::bit_cast<int32_t>(x + x * (square * p));
  const int32_t bits = std::bit_cast<int32_t>(x);
  const int32_t magnitude = bits & 0x7FFFFFFF;
  const float twice = 2.0F * std::bit_cast<float>(magnitude);
  const int32_t far = std::bit_cast<int32_t>(1.0F - 2.0F / (1.0F + ExpPlain(twice)));
  // By a mask: where there is a choice, compilers compute one of the two and keep the loop scalar.
  const int32_t is_near = (magnitude - 0x3F200000) >> 31;  // below 0.625
  return std::bit_cast<float>((near & is_near) | ((far | (bits ^ magnitude)) & ~is_near));
}

}  // namespace reprise

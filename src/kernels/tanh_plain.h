#pragma once

// tanh x in plain C++, written so that a loop over it becomes vector code. The formula and bound of
// tanh_avx512.h, with products and sums rounded one by one.

#include <bit>
#include <cstdint>

#include "kernels/exp_plain.h"

namespace reprise {

inline float TanhPlain(float x) {
  const float square = x * x;
  float p = -0.005704987328499556F;
  p = p * square + 0.0206390880048275F;
  p = p * square + -0.05373971536755562F;
  p = p * square + 0.13331441581249237F;
  p = p * square + -0.3333328068256378F;
  const int32_t near = std::bit_cast<int32_t>(x + x * square * p);
  const int32_t bits = std::bit_cast<int32_t>(x);
  const int32_t magnitude = bits & 0x7FFFFFFF;
  const float twice = 2.0F * std::bit_cast<float>(magnitude);
  const int32_t far = std::bit_cast<int32_t>(1.0F - 2.0F / (1.0F + ExpPlain(twice)));
  // By a mask: where there is a choice, compilers compute one of the two and keep the loop scalar.
  const int32_t is_near = (magnitude - 0x3F200001) >> 31;  // up to 5/8
  return std::bit_cast<float>((near & is_near) | ((far | (bits ^ magnitude)) & ~is_near));
}

}  // namespace reprise

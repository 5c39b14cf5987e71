#pragma once

// tanh x in plain C++, written so that a loop over it becomes vector code. The formula and bound of
// tanh_avx512.h, with products and sums rounded one by one.

#include <bit>
#include <cmath>
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
  const float near = x + x * square * p;
  const float magnitude = std::fabs(x);
  const float far = 1.0F - 2.0F / (ExpPlain(magnitude + magnitude) + 1.0F);
  // As integers: see exp_plain.h.
  const bool is_near = std::bit_cast<int32_t>(magnitude) <= 0x3F200000;  // 5/8
  return is_near ? near : std::copysign(far, x);
}

}  // namespace reprise

#pragma once

// K and q of one head in 8 bits, in plain C++.
//
// Some dimensions of K and q are many times larger than the others; a scale that spans them leaves
// the others few of the 256 steps. So a head is rotated first, K and q alike, which spreads each
// dimension over all: R x, with R the Hadamard matrix of the largest power of two n that divides
// head_dim, repeated along the diagonal. As R Rᵀ = n, (R q) · (R k) = n (q · k), and n is made good
// in K's scale. (Ashkboos et al., QuaRot, arXiv 2404.00456; what it gains here is in
// docs/design/numerics.md.)
//
// The functions are static so that a file compiled for one instruction set has its own.

#include <bit>
#include <cstdint>
#include <limits>

#include "base/limits.h"

namespace reprise {

static constexpr int RotationSize(int head_dim) { return head_dim & -head_dim; }

// x[head_dim] = R x: sums and differences of neighbours at distance 1, 2, 4 … n / 2.
static inline void RotateHead(float* x, int head_dim) {
  for (int distance = 1; distance < RotationSize(head_dim); distance *= 2) {
    for (int first = 0; first < head_dim; first += 2 * distance) {
      for (int i = first; i < first + distance; ++i) {
        const float a = x[i];
        const float b = x[i + distance];
        x[i] = a + b;
        x[i + distance] = a - b;
      }
    }
  }
}

// values[head_dim] = round((R x) / scale), to nearest, ties to even, with scale = max|R x| / 127,
// which is returned. A head whose largest magnitude is below 2^-100 counts as zero; one with a NaN
// or an infinity gets the scale NaN and zeros.
// REQUIRES: head_dim <= limits::kMaxHeadDimension
static inline float QuantizeHead(const float* x, int head_dim, int8_t* values) {
  float rotated[limits::kMaxHeadDimension];
  for (int d = 0; d < head_dim; ++d) rotated[d] = x[d];
  RotateHead(rotated, head_dim);
  int32_t largest = 0;  // bits of |x| are ordered as the numbers are, infinity and NaN on top
  for (int d = 0; d < head_dim; ++d) {
    const int32_t magnitude = std::bit_cast<int32_t>(rotated[d]) & 0x7FFFFFFF;
    largest = magnitude > largest ? magnitude : largest;
  }
  const float maximum = std::bit_cast<float>(largest);
  const bool finite = largest < 0x7F800000;
  if (!finite || maximum < 0x1p-100F) {
    for (int d = 0; d < head_dim; ++d) values[d] = 0;
    return finite ? 0.0F : std::numeric_limits<float>::quiet_NaN();
  }
  const float inverse = 127.0F / maximum;
  // At 1.5 * 2^23 the neighbouring floats are 1 apart, so the sum rounds as wanted.
  constexpr float kToInteger = 0x1.8p23F;
  for (int d = 0; d < head_dim; ++d) {
    const float integer = (rotated[d] * inverse + kToInteger) - kToInteger;
    values[d] = static_cast<int8_t>(static_cast<int>(integer));
  }
  return maximum / 127.0F;
}

}  // namespace reprise

#pragma once

// One row of q in 8 bits (quantize_head.h), over a vector type (simd_*.h). Included by files
// compiled for one instruction set, each of which has its own copy.

#include <cstdint>

#include "base/limits.h"
#include "kernels/quantize_head.h"

namespace reprise {
namespace {

// RotateHead from x to `out`, which is written in whole vectors.
template <typename Floats>
void RotateQuery(const float* x, int head_dim, float* out) {
  constexpr int kLanes = Floats::kLanes;
  const int size = RotationSize(head_dim);
  for (int d = 0; d < head_dim; d += kLanes) {
    Floats v = Floats::Load(x + d, Floats::FirstLanes(head_dim - d));
    for (int distance = 1; distance < kLanes && distance < size; distance *= 2) {
      const Floats other = Flip(v, distance);
      v = Select(LanesWith(v, distance), other - v, v + other);
    }
    v.Store(out + d);
  }
  for (int distance = kLanes; distance < size; distance *= 2) {
    for (int first = 0; first < head_dim; first += 2 * distance) {
      for (int i = first; i < first + distance; i += kLanes) {
        const Floats a = Floats::Load(out + i);
        const Floats b = Floats::Load(out + i + distance);
        (a + b).Store(out + i);
        (a - b).Store(out + i + distance);
      }
    }
  }
}

// QuantizeHead of one row: its quads go to to[0], to[stride], …; *start = -128 * the sum of its
// values.
template <typename Floats>
void QuantizeQuery(const float* from, int head_dim, uint32_t* to, int stride, float* scale,
                   int32_t* start) {
  constexpr int kLanes = Floats::kLanes;
  using Integers = typename Floats::Integers;
  alignas(64) float rotated[limits::kMaxHeadDimension];
  RotateQuery<Floats>(from, head_dim, rotated);
  Integers top = Integers::All(0);
  for (int d = 0; d < head_dim; d += kLanes) {
    top = Max(top, MagnitudeBits(Floats::Load(rotated + d)));
  }
  const int32_t largest = Largest(top);
  float maximum;
  __builtin_memcpy(&maximum, &largest, sizeof(maximum));
  const bool finite = largest < 0x7F800000;
  const bool zero = !finite || maximum < 0x1p-100F;
  const Floats inverse = Floats::All(127.0F / maximum);
  Integers sum = Integers::All(0);
  for (int d = 0; d < head_dim; d += kLanes) {
    Integers values = Integers::All(0);
    if (!zero) values = ToIntegers(Floats::Load(rotated + d) * inverse);
    sum = sum + values;
    uint32_t words[kLanes / 4];
    StoreBytes(values, words);
    for (int i = 0; i < kLanes / 4 && d + 4 * i < head_dim; ++i) {
      to[(d / 4 + i) * stride] = words[i];
    }
  }
  *start = -128 * Sum(sum);
  *scale = zero ? (finite ? 0.0F : __builtin_nanf("")) : maximum / 127.0F;
}

}  // namespace
}  // namespace reprise

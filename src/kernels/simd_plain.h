#pragma once

// One f32 with the functions of simd_avx2.h that elementwise_rows.h needs, each product and sum
// rounded by itself: loops over it are plain C++, which compilers turn into vector code.

#include <cstdint>

#include "kernels/exp_plain.h"

namespace reprise {
namespace {

struct Floats1 {
  static constexpr int kLanes = 1;
  struct Mask {};  // of the lane, which always exists

  float v;

  static Floats1 All(float x) { return {x}; }
  static Floats1 Load(const float* from) { return {*from}; }
  void Store(float* to) const { *to = v; }
  static Floats1 Load(const float* from, Mask) { return {*from}; }
  void Store(float* to, Mask) const { *to = v; }
  static Mask FirstLanes(int64_t) { return {}; }
};

inline Floats1 operator+(Floats1 a, Floats1 b) { return {a.v + b.v}; }
inline Floats1 operator-(Floats1 a, Floats1 b) { return {a.v - b.v}; }
inline Floats1 operator*(Floats1 a, Floats1 b) { return {a.v * b.v}; }
inline Floats1 operator/(Floats1 a, Floats1 b) { return {a.v / b.v}; }
inline Floats1 MulAdd(Floats1 a, Floats1 b, Floats1 c) { return {a.v * b.v + c.v}; }

// The second operand wins where one is NaN.
inline Floats1 Min(Floats1 a, Floats1 b) { return {a.v < b.v ? a.v : b.v}; }
inline Floats1 Max(Floats1 a, Floats1 b) { return {a.v > b.v ? a.v : b.v}; }

inline Floats1 Exp(Floats1 x) { return {ExpPlain(x.v)}; }

}  // namespace
}  // namespace reprise

#pragma once

// The kernels of elementwise.h over a vector type (simd_*.h). Each source of an instruction set has
// its own copy. Tails go through masks, so that an element takes the same operations wherever it
// lies.

#include <cstdint>

#include "base/check.h"
#include "kernels/elementwise.h"
#include "kernels/for_vectors.h"

namespace reprise {
namespace {

// Two vectors of lanes, each column in ascending order into the lane that is its own, then the
// vectors and the lanes come together.
template <typename Floats>
float SumOfSquares(const float* x, int columns) {
  constexpr int kWidth = Floats::kLanes;
  Floats even = Floats::All(0.0F);
  Floats odd = Floats::All(0.0F);
  int c = 0;
  for (; c + 2 * kWidth <= columns; c += 2 * kWidth) {
    const Floats a = Floats::Load(x + c);
    const Floats b = Floats::Load(x + c + kWidth);
    even = MulAdd(a, a, even);
    odd = MulAdd(b, b, odd);
  }
  for (; c < columns; c += kWidth) {
    const Floats a = Floats::Load(x + c, Floats::FirstLanes(columns - c));
    even = MulAdd(a, a, even);
  }
  return Sum(even + odd);
}

template <typename Floats>
void NormRow(const float* x, int columns, const float* weight, float epsilon, float* out) {
  const float mean = SumOfSquares<Floats>(x, columns) / static_cast<float>(columns);
  const Floats inverse = Floats::All(1.0F / __builtin_sqrtf(mean + epsilon));
  ForVectors<Floats>(columns, [&](int64_t c, auto... mask) {
    const Floats scaled = Floats::Load(x + c, mask...) * inverse;
    (scaled * Floats::Load(weight + c, mask...)).Store(out + c, mask...);
  });
}

// Pairs (2i, 2i+1), as many as half a vector's lanes at once: (a, b) becomes (a c - b s, b c + a
// s).
template <typename Floats>
void RotateAdjacent(float* x, const float* angles, int half) {
  constexpr int kPairs = Floats::kLanes / 2;
  const auto rotate = [&](int i, auto pairs, auto... mask) {
    const Floats cos = Twice(Floats::Load(angles + i, pairs));
    const Floats sin = Twice(Floats::Load(angles + half + i, pairs));
    const Floats v = Floats::Load(x + 2 * i, mask...);
    MulSubAdd(v, cos, SwapPairs(v) * sin).Store(x + 2 * i, mask...);
  };
  int i = 0;
  for (; i + kPairs <= half; i += kPairs) rotate(i, Floats::FirstLanes(kPairs));
  if (i < half) rotate(i, Floats::FirstLanes(half - i), Floats::FirstLanes(2 * (half - i)));
}

// Pairs (i, i + half).
template <typename Floats>
void RotateHalves(float* x, const float* angles, int half) {
  ForVectors<Floats>(half, [&](int64_t i, auto... mask) {
    const Floats cos = Floats::Load(angles + i, mask...);
    const Floats sin = Floats::Load(angles + half + i, mask...);
    const Floats a = Floats::Load(x + i, mask...);
    const Floats b = Floats::Load(x + half + i, mask...);
    MulSub(a, cos, b * sin).Store(x + i, mask...);
    MulAdd(b, cos, a * sin).Store(x + half + i, mask...);
  });
}

// x / (1 + e^-z).
template <typename Floats>
Floats TimesSigmoid(Floats x, Floats z) {
  return x / (Exp(Floats::All(0.0F) - z) + Floats::All(1.0F));
}

template <typename Floats>
Floats Silu(Floats x) {
  return TimesSigmoid(x, x);
}

// x/2 (1 + tanh(z)) = x / (1 + e^-2z) with z = √(2/π) (x + 0.044715 x³).
template <typename Floats>
Floats Gelu(Floats x) {
  const Floats slope =
      MulAdd(x * x, Floats::All(0.07135481627260025F), Floats::All(1.5957691216057308F));
  return TimesSigmoid(x, x * slope);
}

template <typename Floats>
Floats Relu2(Floats x) {
  const Floats positive = Max(Floats::All(0.0F), x);
  return positive * positive;
}

template <typename Floats>
Floats ClampedSiluTimes(Floats gate, Floats up) {
  const Floats limit = Floats::All(7.0F);
  const Floats g = Min(limit, gate);
  const Floats u = Max(Floats::All(-7.0F), Min(limit, up));
  return TimesSigmoid(g, Floats::All(1.702F) * g) * (u + Floats::All(1.0F));
}

// x[i] = function(x[i]).
template <typename Floats, typename Function>
void MapSlice(float* x, int64_t count, Function function) {
  ForVectors<Floats>(count, [&](int64_t i, auto... mask) {
    function(Floats::Load(x + i, mask...)).Store(x + i, mask...);
  });
}

// x[i] = function(x[i], y[i]).
template <typename Floats, typename Function>
void MapSlice(float* x, const float* y, int64_t count, Function function) {
  ForVectors<Floats>(count, [&](int64_t i, auto... mask) {
    function(Floats::Load(x + i, mask...), Floats::Load(y + i, mask...)).Store(x + i, mask...);
  });
}

template <typename Floats>
void ActivateGatedSlice(Activation activation, float* gate, const float* up, int64_t count) {
  const auto map = [&](auto function) { MapSlice<Floats>(gate, up, count, function); };
  switch (activation) {
    case Activation::kSilu:
      return map([](Floats g, Floats u) { return Silu(g) * u; });
    case Activation::kGelu:
      return map([](Floats g, Floats u) { return Gelu(g) * u; });
    case Activation::kRelu2:
      return map([](Floats g, Floats u) { return Relu2(g) * u; });
    case Activation::kClampedSilu:
      return map([](Floats g, Floats u) { return ClampedSiluTimes(g, u); });
  }
}

template <typename Floats>
void ActivateSlice(Activation activation, float* x, int64_t count) {
  const auto map = [&](auto function) { MapSlice<Floats>(x, count, function); };
  switch (activation) {
    case Activation::kSilu:
      return map([](Floats v) { return Silu(v); });
    case Activation::kGelu:
      return map([](Floats v) { return Gelu(v); });
    case Activation::kRelu2:
      return map([](Floats v) { return Relu2(v); });
    case Activation::kClampedSilu:
      CHECK(false, "an activation of two operands");
  }
}

template <typename Floats>
void AddSlice(float* x, const float* y, int64_t count) {
  MapSlice<Floats>(x, y, count, [](Floats a, Floats b) { return a + b; });
}

template <typename Floats>
void ExpSlice(const float* x, int64_t count, float* out) {
  ForVectors<Floats>(count, [&](int64_t i, auto... mask) {
    Exp(Floats::Load(x + i, mask...)).Store(out + i, mask...);
  });
}

}  // namespace
}  // namespace reprise

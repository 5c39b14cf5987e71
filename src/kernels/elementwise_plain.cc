// Elementwise operations in plain C++: the reference, and the kExact form.

#include <cmath>
#include <cstdint>

#include "base/check.h"
#include "kernels/elementwise.h"
#include "kernels/exp_plain.h"
#include "kernels/sum_of_squares.h"

namespace reprise {
namespace {

void NormRow(const float* x, int columns, const float* weight, float epsilon, float* out) {
  const float mean = SumOfSquaresPlain(x, columns) / static_cast<float>(columns);
  const float inverse = 1.0F / std::sqrt(mean + epsilon);
  for (int c = 0; c < columns; ++c) out[c] = x[c] * inverse * weight[c];
}

// `near` and `far`: distance between neighbouring pairs, and between the two of a pair.
void RotateHead(float* x, const float* angles, int half, int near, int far) {
  for (int i = 0; i < half; ++i) {
    float* first = x + i * near;
    const float a = *first;
    const float b = first[far];
    *first = a * angles[i] - b * angles[half + i];
    first[far] = a * angles[half + i] + b * angles[i];
  }
}

void RotateAdjacent(float* x, const float* angles, int half) { RotateHead(x, angles, half, 2, 1); }

void RotateHalves(float* x, const float* angles, int half) { RotateHead(x, angles, half, 1, half); }

float Silu(float x) { return x / (1.0F + ExpPlain(-x)); }

// x/2 (1 + tanh(z)) = x / (1 + e^-2z) with z = √(2/π) (x + 0.044715 x³).
float Gelu(float x) {
  const float twice = x * (1.5957691216057308F + 0.07135481627260025F * (x * x));
  return x / (1.0F + ExpPlain(-twice));
}

float Relu2(float x) {
  const float positive = x < 0.0F ? 0.0F : x;
  return positive * positive;
}

float ClampedSiluTimes(float gate, float up) {
  const float g = gate > 7.0F ? 7.0F : gate;
  float u = up > 7.0F ? 7.0F : up;
  u = u < -7.0F ? -7.0F : u;
  return g / (1.0F + ExpPlain(-1.702F * g)) * (u + 1.0F);
}

template <typename Function>
void GateSlice(float* gate, const float* up, int64_t count, Function function) {
  for (int64_t i = 0; i < count; ++i) gate[i] = function(gate[i], up[i]);
}

void ActivateGatedSlice(Activation activation, float* gate, const float* up, int64_t count) {
  switch (activation) {
    case Activation::kSilu:
      return GateSlice(gate, up, count, [](float g, float u) { return Silu(g) * u; });
    case Activation::kGelu:
      return GateSlice(gate, up, count, [](float g, float u) { return Gelu(g) * u; });
    case Activation::kRelu2:
      return GateSlice(gate, up, count, [](float g, float u) { return Relu2(g) * u; });
    case Activation::kClampedSilu:
      return GateSlice(gate, up, count, [](float g, float u) { return ClampedSiluTimes(g, u); });
  }
}

template <typename Function>
void MapSlice(float* x, int64_t count, Function function) {
  for (int64_t i = 0; i < count; ++i) x[i] = function(x[i]);
}

void ActivateSlice(Activation activation, float* x, int64_t count) {
  switch (activation) {
    case Activation::kSilu:
      return MapSlice(x, count, [](float v) { return Silu(v); });
    case Activation::kGelu:
      return MapSlice(x, count, [](float v) { return Gelu(v); });
    case Activation::kRelu2:
      return MapSlice(x, count, [](float v) { return Relu2(v); });
    case Activation::kClampedSilu:
      CHECK(false, "an activation of two operands");
  }
}

void AddSlice(float* x, const float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] += y[i];
}

void ExpSlice(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = ExpPlain(x[i]);
}

}  // namespace

namespace plain {

const ElementwiseKernels kElementwise = {
    NormRow, RotateAdjacent, RotateHalves, ActivateGatedSlice, ActivateSlice, AddSlice, ExpSlice};

}  // namespace plain
}  // namespace reprise

// Elementwise operations in plain C++: the reference, and the kExact form.

#include <cmath>
#include <cstdint>

#include "kernels/elementwise.h"
#include "kernels/exp_plain.h"

namespace reprise {
namespace {

constexpr int kSumLanes = 16;

// Lane i adds the squares of columns ≡ i mod 16 in ascending order, then the lanes come together.
float SumOfSquares(const float* x, int columns) {
  float lanes[kSumLanes] = {};
  int c = 0;
  for (; c + kSumLanes <= columns; c += kSumLanes) {
    for (int i = 0; i < kSumLanes; ++i) lanes[i] += x[c + i] * x[c + i];
  }
  for (int i = 0; c + i < columns; ++i) lanes[i] += x[c + i] * x[c + i];
  float sum = 0.0F;
  for (const float lane : lanes) sum += lane;
  return sum;
}

void NormRow(const float* x, int columns, const float* weight, float epsilon, float* out) {
  const float mean = SumOfSquares(x, columns) / static_cast<float>(columns);
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

void SwiGluSlice(float* gate, const float* up, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    gate[i] = gate[i] / (1.0F + ExpPlain(-gate[i])) * up[i];
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

const ElementwiseKernels kElementwise = {NormRow,     RotateAdjacent, RotateHalves,
                                         SwiGluSlice, AddSlice,       ExpSlice};

}  // namespace plain
}  // namespace reprise

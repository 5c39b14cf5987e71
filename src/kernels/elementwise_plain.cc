// Elementwise operations in plain C++: the reference, and the kExact form.

#include <cmath>
#include <cstdint>

#include "kernels/elementwise.h"
#include "kernels/elementwise_fork.h"
#include "kernels/exp_plain.h"

namespace reprise {
namespace {

constexpr int kLanes = 16;

// Lane i adds the squares of columns ≡ i mod 16 in ascending order, then the lanes come together.
float SumOfSquares(const float* x, int columns) {
  float lanes[kLanes] = {};
  int c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    for (int i = 0; i < kLanes; ++i) lanes[i] += x[c + i] * x[c + i];
  }
  for (int i = 0; c + i < columns; ++i) lanes[i] += x[c + i] * x[c + i];
  float sum = 0.0F;
  for (const float lane : lanes) sum += lane;
  return sum;
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

void SwiGluSlice(float* gate, const float* up, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    gate[i] = gate[i] / (1.0F + ExpPlain(-gate[i])) * up[i];
  }
}

}  // namespace

namespace plain {

void RmsNorm(const float* x, int rows, int columns, const float* weight, float epsilon,
             float* out) {
  ForEach(rows, 1, int64_t{rows} * columns >= kForkStreamed, [=](int64_t r) {
    const float* from = x + r * columns;
    float* to = out + r * columns;
    const float mean = SumOfSquares(from, columns) / static_cast<float>(columns);
    const float inverse = 1.0F / std::sqrt(mean + epsilon);
    for (int c = 0; c < columns; ++c) to[c] = from[c] * inverse * weight[c];
  });
}

void Rope(float* x, int rows, int heads, int head_dim, const RopeAngles& angles) {
  const bool adjacent = angles.pairing == RopePairing::kAdjacent;
  const int near = adjacent ? 2 : 1;
  const int far = adjacent ? 1 : angles.half;
  ForEach(rows, 1, int64_t{rows} * heads * head_dim >= kForkStreamed, [=, &angles](int64_t r) {
    const float* row = angles.rows[r];
    for (int h = 0; h < heads; ++h) {
      RotateHead(x + (r * heads + h) * head_dim, row, angles.half, near, far);
    }
  });
}

void SwiGlu(float* gate, const float* up, size_t count) {
  ForEachSlice(static_cast<int64_t>(count), kForkExp,
               [=](int64_t i, int64_t elements) { SwiGluSlice(gate + i, up + i, elements); });
}

void Add(float* x, const float* y, size_t count) {
  ForEachSlice(static_cast<int64_t>(count), kForkStreamed, [=](int64_t i, int64_t elements) {
    for (int64_t j = i; j < i + elements; ++j) x[j] += y[j];
  });
}

void Exp(const float* x, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = ExpPlain(x[i]);
}

}  // namespace plain
}  // namespace reprise

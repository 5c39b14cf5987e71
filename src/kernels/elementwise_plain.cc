// Elementwise operations in plain C++: the reference, and the kExact form.

#include <cmath>

#include "kernels/elementwise.h"
#include "kernels/elementwise_rows.h"
#include "kernels/simd_plain.h"
#include "kernels/sum_of_squares.h"

namespace reprise {
namespace {

void NormRowPlain(const float* x, int columns, const float* weight, float epsilon, float* out) {
  const float mean = SumOfSquaresPlain(x, columns) / static_cast<float>(columns);
  const float inverse = 1.0F / std::sqrt(mean + epsilon);
  for (int c = 0; c < columns; ++c) out[c] = x[c] * inverse * weight[c];
}

// `near` and `far`: distance between neighbouring pairs, and between the two of a pair.
void RotatePlain(float* x, const float* angles, int half, int near, int far) {
  for (int i = 0; i < half; ++i) {
    float* first = x + i * near;
    const float a = *first;
    const float b = first[far];
    *first = a * angles[i] - b * angles[half + i];
    first[far] = a * angles[half + i] + b * angles[i];
  }
}

void RotateAdjacentPlain(float* x, const float* angles, int half) {
  RotatePlain(x, angles, half, 2, 1);
}

void RotateHalvesPlain(float* x, const float* angles, int half) {
  RotatePlain(x, angles, half, 1, half);
}

}  // namespace

namespace plain {

const ElementwiseKernels kElementwise = {
    NormRowPlain,           RotateAdjacentPlain, RotateHalvesPlain, ActivateGatedSlice<Floats1>,
    ActivateSlice<Floats1>, AddSlice<Floats1>,   ExpSlice<Floats1>};

}  // namespace plain
}  // namespace reprise

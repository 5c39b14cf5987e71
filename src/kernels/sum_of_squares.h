#pragma once

// Σ x² in plain C++, in a fixed order that becomes vector code: lane i adds the squares of columns
// ≡ i mod 16 in ascending order, then the lanes come together.

namespace reprise {

inline float SumOfSquaresPlain(const float* x, int columns) {
  constexpr int kSquareLanes = 16;
  float lanes[kSquareLanes] = {};
  int c = 0;
  for (; c + kSquareLanes <= columns; c += kSquareLanes) {
    for (int i = 0; i < kSquareLanes; ++i) lanes[i] += x[c + i] * x[c + i];
  }
  for (int i = 0; c + i < columns; ++i) lanes[i] += x[c + i] * x[c + i];
  float sum = 0.0F;
  for (const float lane : lanes) sum += lane;
  return sum;
}

}  // namespace reprise

#pragma once

// The inner loops of operations that carry a matrix along a sequence: one head of one sequence, all
// its rows in order, the state in the nearest cache meanwhile. Every element of the state and of
// the result is computed by itself, products and sums rounded one by one, sums in ascending order:
// the same bits on every instruction set (state_kernel_body.h is compiled for each). Only plain
// structs, as in product.h.

#include <cstddef>

namespace reprise {

// A state [depth, columns] lies in panels of so many columns, each [depth, 64]; the last may be
// narrower. While the rows of a call pass by, a panel of depth 128 stays in 32 KiB of L1, which
// rows of more columns, a power of two apart, would share with too few of its sets.
inline constexpr int kStatePanel = 64;

// Strides in elements. For each row: state[i] = decay · state[i] + b[i] · (dt · x),
// out = Σ_i c[i] · state[i] + d · x, with x, out and state[i] of `columns` elements.
struct ScanCall {
  int rows;
  int d_state;
  int columns;
  const float* x;
  ptrdiff_t x_stride;
  const float* b;
  ptrdiff_t b_stride;
  const float* c;
  ptrdiff_t c_stride;
  const float* factors;  // [rows, 2]: decay, dt
  float d;
  float* state;  // [d_state, columns] in panels
  float* out;
  ptrdiff_t out_stride;
};

struct StateKernels {
  void (*scan)(const ScanCall& call);
};

namespace plain {
extern const StateKernels kState;
}
namespace avx2 {
extern const StateKernels kState;
}
namespace avx512 {
extern const StateKernels kState;
}

}  // namespace reprise

#pragma once

// The operations that carry a state along a sequence, with the parameters of class Operations, and
// the norm behind them. Rows of a sequence are taken one after another, heads or channels and
// sequences side by side (forked as elementwise.h says): a row's bits depend neither on the chunks
// that its sequence came in nor on who is beside it. What instruction sets supply is the inner loop
// over a state (state_kernel.h, the same bits on each), silu and norm (elementwise.h); all else is
// plain C++. One caller at a time for one RecurrentScratch.

#include <span>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/operations.h"
#include "kernels/recurrent_spec.h"
#include "kernels/state_kernel.h"
#include "kernels/thread_pool.h"

namespace reprise {

// What a row does to the state of a head, for all rows of a call; grows to the largest.
struct RecurrentScratch {
  std::vector<float> factors;
};

void ShortConv(ThreadPool& pool, const ElementwiseKernels& kernels, const ShortConvSpec& spec,
               const ShortConvRows& rows, std::span<const SequenceSpan> sequences,
               size_t state_offset, float* out);

void Mamba2Scan(ThreadPool& pool, const StateKernels& kernels, const Mamba2Spec& spec,
                const Mamba2Rows& rows, std::span<const SequenceSpan> sequences,
                size_t state_offset, float* out, RecurrentScratch& scratch);

void GatedRmsNorm(ThreadPool& pool, const ElementwiseKernels& kernels, const GatedNormSpec& spec,
                  const float* x, const RowsView& gate, int rows, float* out);

}  // namespace reprise

// Operations::DeltaRule.

#include <cmath>

#include "base/check.h"
#include "kernels/fork.h"
#include "kernels/recurrent.h"
#include "kernels/recurrent_plain.h"
#include "kernels/sum_of_squares.h"

namespace reprise {
namespace {

constexpr int kDeltaFactors = 4;
constexpr float kNormEpsilon = 1e-6F;

float InverseNorm(const float* x, int count) {
  return 1.0F / std::sqrt(SumOfSquaresPlain(x, count) + kNormEpsilon);
}

// One value head of one sequence; `factors` has room for its rows.
void DeltaHead(const StateKernels& kernels, const DeltaRuleSpec& spec, const DeltaRuleRows& rows,
               const SequenceSpan& sequence, int head, float* factors, float* state, float* out) {
  const ptrdiff_t key_at = ptrdiff_t{head / (spec.value_heads / spec.key_heads)} * spec.key_dim;
  const float root = 1.0F / std::sqrt(static_cast<float>(spec.key_dim));
  for (int r = 0; r < sequence.rows; ++r) {
    const int row = sequence.first_row + r;
    const float step = SoftplusPlain(rows.decay.row(row)[head] + spec.dt_bias[head]);
    float* const of_row = factors + kDeltaFactors * r;
    of_row[0] = ExpPlain(spec.a[head] * step);
    of_row[1] = SigmoidPlain(rows.beta.row(row)[head]);
    of_row[2] = InverseNorm(rows.k.row(row) + key_at, spec.key_dim);
    of_row[3] = InverseNorm(rows.q.row(row) + key_at, spec.key_dim) * root;
  }
  const ptrdiff_t value_at = ptrdiff_t{head} * spec.value_dim;
  const ptrdiff_t out_stride = ptrdiff_t{spec.value_heads} * spec.value_dim;
  kernels.delta({.rows = sequence.rows,
                 .key_dim = spec.key_dim,
                 .columns = spec.value_dim,
                 .q = rows.q.row(sequence.first_row) + key_at,
                 .q_stride = rows.q.stride,
                 .k = rows.k.row(sequence.first_row) + key_at,
                 .k_stride = rows.k.stride,
                 .v = rows.v.row(sequence.first_row) + value_at,
                 .v_stride = rows.v.stride,
                 .factors = factors,
                 .state = state + value_at * spec.key_dim,
                 .out = out + sequence.first_row * out_stride + value_at,
                 .out_stride = out_stride});
}

}  // namespace

void DeltaRule(const StateKernels& kernels, const DeltaRuleSpec& spec, const DeltaRuleRows& rows,
               std::span<const SequenceSpan> sequences, size_t state_offset, float* out,
               RecurrentScratch& scratch) {
  CHECK(spec.key_heads > 0 && spec.value_heads % spec.key_heads == 0,
        "each key head has as many value heads");
  const int64_t row_count = RowsOf(sequences);
  const auto count = static_cast<int64_t>(sequences.size());
  scratch.factors.resize(static_cast<size_t>(spec.value_heads * row_count * kDeltaFactors));
  const bool fork = row_count * spec.value_heads * spec.key_dim * spec.value_dim >= kForkFrom;
  ForEach(spec.value_heads * count, 1, fork, [&](int64_t i) {
    const SequenceSpan& sequence = sequences[static_cast<size_t>(i % count)];
    const auto head = static_cast<int>(i / count);
    float* const factors =
        scratch.factors.data() + (head * row_count + sequence.first_row) * kDeltaFactors;
    DeltaHead(kernels, spec, rows, sequence, head, factors, StateOf(sequence, state_offset), out);
  });
}

}  // namespace reprise

// Operations::Mamba2Scan.

#include "base/check.h"
#include "kernels/fork.h"
#include "kernels/recurrent.h"
#include "kernels/recurrent_plain.h"

namespace reprise {
namespace {

constexpr int kScanFactors = 2;

// One head of one sequence; `factors` has room for its rows.
void ScanHead(const StateKernels& kernels, const Mamba2Spec& spec, const Mamba2Rows& rows,
              const SequenceSpan& sequence, int head, float* factors, float* state, float* out) {
  for (int r = 0; r < sequence.rows; ++r) {
    const float raw = rows.dt.row(sequence.first_row + r)[head];
    const float dt = SoftplusPlain(raw + spec.dt_bias[head]);
    factors[kScanFactors * r] = ExpPlain(dt * spec.a[head]);
    factors[kScanFactors * r + 1] = dt;
  }
  const ptrdiff_t at = ptrdiff_t{head} * spec.head_dim;
  const ptrdiff_t group = ptrdiff_t{head / (spec.heads / spec.groups)} * spec.d_state;
  const ptrdiff_t out_stride = ptrdiff_t{spec.heads} * spec.head_dim;
  kernels.scan({.rows = sequence.rows,
                .d_state = spec.d_state,
                .columns = spec.head_dim,
                .x = rows.x.row(sequence.first_row) + at,
                .x_stride = rows.x.stride,
                .b = rows.b.row(sequence.first_row) + group,
                .b_stride = rows.b.stride,
                .c = rows.c.row(sequence.first_row) + group,
                .c_stride = rows.c.stride,
                .factors = factors,
                .d = spec.d[head],
                .state = state + at * spec.d_state,
                .out = out + sequence.first_row * out_stride + at,
                .out_stride = out_stride});
}

}  // namespace

void Mamba2Scan(ThreadPool& pool, const StateKernels& kernels, const Mamba2Spec& spec,
                const Mamba2Rows& rows, std::span<const SequenceSpan> sequences,
                size_t state_offset, float* out, RecurrentScratch& scratch) {
  CHECK(spec.groups > 0 && spec.heads % spec.groups == 0, "each group has as many heads");
  const int64_t row_count = RowsOf(sequences);
  const auto count = static_cast<int64_t>(sequences.size());
  scratch.factors.resize(static_cast<size_t>(spec.heads * row_count * kScanFactors));
  const bool fork = row_count * spec.heads * spec.head_dim * spec.d_state >= kForkFrom;
  ForEach(pool, spec.heads * count, 1, fork, [&](int64_t i) {
    const SequenceSpan& sequence = sequences[static_cast<size_t>(i % count)];
    const auto head = static_cast<int>(i / count);
    float* const factors =
        scratch.factors.data() + (head * row_count + sequence.first_row) * kScanFactors;
    ScanHead(kernels, spec, rows, sequence, head, factors, StateOf(sequence, state_offset), out);
  });
}

}  // namespace reprise

// Operations::ShortConv.

#include <algorithm>

#include "base/check.h"
#include "kernels/fork.h"
#include "kernels/recurrent.h"
#include "kernels/recurrent_plain.h"

namespace reprise {
namespace {

// Channels that one thread takes at once: the rows under eight taps are 8 KiB.
constexpr int kConvChannels = 256;

// Channels first .. first + count - 1 of one sequence.
void ConvolveChannels(const ElementwiseKernels& kernels, const ShortConvSpec& spec,
                      const ShortConvRows& rows, const SequenceSpan& sequence, float* state,
                      int first, int count, float* out) {
  const int past = spec.taps - 1;
  float window[ShortConvSpec::kMaxTaps][kConvChannels];  // row i of u, state first, at i % taps
  float* const kept = state + first;
  for (int j = 0; j < past; ++j) {
    std::copy_n(kept + ptrdiff_t{j} * spec.channels, count, window[j]);
  }
  for (int r = 0; r < sequence.rows; ++r) {
    const int row = sequence.first_row + r;
    float* const newest = window[(past + r) % spec.taps];
    std::copy_n(rows.x.row(row) + first, count, newest);
    if (rows.in_gate.data != nullptr) {
      const float* const gate = rows.in_gate.row(row) + first;
      for (int c = 0; c < count; ++c) newest[c] *= gate[c];
    }
    float sums[kConvChannels] = {};
    for (int j = 0; j < spec.taps; ++j) {
      const float* const from = window[(r + j) % spec.taps];
      const float* const weight = spec.weight + ptrdiff_t{j} * spec.channels + first;
      for (int c = 0; c < count; ++c) sums[c] += weight[c] * from[c];
    }
    if (spec.bias != nullptr) {
      for (int c = 0; c < count; ++c) sums[c] += spec.bias[first + c];
    }
    if (spec.has_silu) kernels.activate(Activation::kSilu, sums, count);
    if (rows.out_gate.data != nullptr) {
      const float* const gate = rows.out_gate.row(row) + first;
      for (int c = 0; c < count; ++c) sums[c] *= gate[c];
    }
    std::copy_n(sums, count, out + ptrdiff_t{row} * spec.channels + first);
  }
  for (int j = 0; j < past; ++j) {
    std::copy_n(window[(sequence.rows + j) % spec.taps], count,
                kept + ptrdiff_t{j} * spec.channels);
  }
}

}  // namespace

void ShortConv(ThreadPool& pool, const ElementwiseKernels& kernels, const ShortConvSpec& spec,
               const ShortConvRows& rows, std::span<const SequenceSpan> sequences,
               size_t state_offset, float* out) {
  CHECK(spec.taps >= 2 && spec.taps <= ShortConvSpec::kMaxTaps, "a short convolution");
  const auto count = static_cast<int64_t>(sequences.size());
  const int64_t slices = (spec.channels + kConvChannels - 1) / kConvChannels;
  const bool fork = int64_t{RowsOf(sequences)} * spec.channels * spec.taps >= kForkFrom;
  ForEach(pool, slices * count, 1, fork, [&](int64_t i) {
    const SequenceSpan& sequence = sequences[static_cast<size_t>(i % count)];
    const int first = static_cast<int>(i / count) * kConvChannels;
    ConvolveChannels(kernels, spec, rows, sequence, StateOf(sequence, state_offset), first,
                     std::min(kConvChannels, spec.channels - first), out);
  });
}

}  // namespace reprise

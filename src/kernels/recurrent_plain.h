#pragma once

// What the sources of recurrent.h share.

#include <algorithm>
#include <cmath>
#include <span>

#include "base/check.h"
#include "kernels/exp_plain.h"
#include "kernels/operations.h"

namespace reprise {

// ln(1 + e^x), right to an ulp or two of itself for all x; NaN stays NaN.
inline float SoftplusPlain(float x) {
  const auto tail = static_cast<float>(std::log1p(static_cast<double>(ExpPlain(-std::abs(x)))));
  return x > 0.0F ? x + tail : tail;
}

// A sequence's state of one layer.
inline float* StateOf(const SequenceSpan& sequence, size_t offset) {
  CHECK(sequence.state != nullptr && offset % alignof(float) == 0,
        "a sequence has a state of aligned floats");
  return reinterpret_cast<float*>(sequence.state + offset);
}

// Rows up to the last of any sequence: as many does a batch have.
inline int RowsOf(std::span<const SequenceSpan> sequences) {
  int rows = 0;
  for (const SequenceSpan& span : sequences) rows = std::max(rows, span.first_row + span.rows);
  return rows;
}

}  // namespace reprise

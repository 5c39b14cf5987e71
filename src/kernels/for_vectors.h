#pragma once

// A walk over an array in vectors (simd_*.h).

#include <cstdint>

namespace reprise {
namespace {

// step(i) for each whole vector of `count` elements, from element i on, and step(i, mask) for the
// rest of them.
template <typename Floats, typename Step>
void ForVectors(int64_t count, Step step) {
  int64_t i = 0;
  for (; i + Floats::kLanes <= count; i += Floats::kLanes) step(i);
  if (i < count) step(i, Floats::FirstLanes(count - i));
}

}  // namespace
}  // namespace reprise

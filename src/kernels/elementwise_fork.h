#pragma once

// From which size on elementwise work is forked, the same for all instruction sets. Waking a second
// thread costs 2 to 5 us; a core does about 8 elements a nanosecond of what only streams, and one
// or two of what takes an exp. Internal to this folder; plain constants, because files compiled for
// one instruction set include it.

#include <cstdint>

namespace reprise {

inline constexpr int64_t kForkStreamed = 128 * 1024;  // elements: RmsNorm, Rope, Add
inline constexpr int64_t kForkExp = 16 * 1024;        // elements: SwiGlu

// Elements that one thread takes at once from a flat array: 16 KiB, whole vectors of any kind.
inline constexpr int64_t kSliceElements = 4096;

namespace {

// body(i) for i = 0, step, 2 step .. below count. Without a fork there is no parallel region at
// all: entering one costs 0.3 us even on one thread, as much as the norm of a row.
template <typename Body>
inline void ForEach(int64_t count, int64_t step, bool fork, Body body) {
  if (!fork) {
    for (int64_t i = 0; i < count; i += step) body(i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i += step) body(i);
}

// The same by slices of a flat array: body(first, elements).
template <typename Body>
inline void ForEachSlice(int64_t count, int64_t fork_from, Body body) {
  ForEach(count, kSliceElements, count >= fork_from,
          [=](int64_t i) { body(i, count - i < kSliceElements ? count - i : kSliceElements); });
}

}  // namespace
}  // namespace reprise

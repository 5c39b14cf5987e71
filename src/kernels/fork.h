#pragma once

// Work forked over omp_get_max_threads() of the calling thread, where it pays for the fork.

#include <cstdint>

namespace reprise {

// From how many elements on work is forked, the same for all instruction sets. Waking a second
// thread costs 2 to 5 us; a core does about 8 elements a nanosecond.
inline constexpr int64_t kForkFrom = 128 * 1024;

// body(i) for i = 0, step, 2 step .. below count. Without a fork there is no parallel region at
// all: entering one costs 0.3 us even on one thread, as much as the norm of a row.
template <typename Body>
void ForEach(int64_t count, int64_t step, bool fork, Body body) {
  if (!fork) {
    for (int64_t i = 0; i < count; i += step) body(i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i += step) body(i);
}

}  // namespace reprise

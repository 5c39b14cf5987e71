#pragma once

// Work shared among the threads of a pool, where it pays for the fork.

#include <algorithm>
#include <cstdint>

#include "kernels/thread_pool.h"

namespace reprise {

// From how many elements on work is forked, the same for all instruction sets. Another thread takes
// part after 0.1 us if it is awake and after 2 to 5 us if it sleeps; a core does about 8 elements a
// nanosecond.
inline constexpr int64_t kForkFrom = 128 * 1024;

// body(i) for i = 0, step, 2 step .. below count.
template <typename Body>
void ForEach(ThreadPool& pool, int64_t count, int64_t step, bool fork, const Body& body) {
  constexpr int64_t kPiecesPerThread = 8;
  const int64_t steps = (count + step - 1) / step;
  const int64_t pieces = fork ? std::min(steps, kPiecesPerThread * pool.threads()) : 1;
  pool.Run(pieces, [&](int64_t piece, int) {
    const int64_t end = steps * (piece + 1) / pieces;
    for (int64_t i = steps * piece / pieces; i < end; ++i) body(i * step);
  });
}

}  // namespace reprise

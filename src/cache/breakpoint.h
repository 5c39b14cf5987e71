#pragma once

// A breakpoint: "keep the prompt up to here, so long". Plain values, from the api layer down to the
// cache and back.

#include <cstddef>

#include "base/clock.h"

namespace reprise {

// The prompt's first `tokens` tokens are to be kept for `ttl`, counted from the start of the
// request that marks them or, later, reads at least so far.
struct Breakpoint {
  size_t tokens = 0;  // 1..size of the prompt; any position, also inside a block
  Duration ttl{};     // more than 0

  bool operator==(const Breakpoint&) const = default;
};

// What came of it, decided when the request is admitted and never changed afterwards.
struct BreakpointOutcome {
  size_t tokens = 0;
  Duration ttl{};
  bool accepted = false;  // if not, pinned memory is full: cached automatically, without a promise

  bool operator==(const BreakpointOutcome&) const = default;
};

}  // namespace reprise

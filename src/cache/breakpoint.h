#pragma once

// A breakpoint: "keep the prompt up to here, so long". Plain values, from the api layer down to the
// cache and back.

#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace reprise {

// The prompt's first `tokens` tokens are to be kept for `ttl`, counted from the start of the
// request that marks them or, later, reads at least so far.
struct Breakpoint {
  size_t tokens = 0;  // 1..size of the prompt; any position, also inside a block
  Duration ttl{};     // more than 0

  bool operator==(const Breakpoint&) const = default;
};

// Whether there is room for what a breakpoint would hold.
enum class PinDecision : uint8_t {
  kAccepted,
  kPoolFull,    // what all promises together may hold is held
  kTenantFull,  // what the tenant's promises may hold is held (said also where both are full)
};

// What came of it, decided when the request is admitted and never changed afterwards. Without room
// the prefix is cached automatically, without a promise.
struct BreakpointOutcome {
  size_t tokens = 0;
  Duration ttl{};
  PinDecision decision = PinDecision::kPoolFull;

  bool accepted() const { return decision == PinDecision::kAccepted; }
  bool operator==(const BreakpointOutcome&) const = default;
};

}  // namespace reprise

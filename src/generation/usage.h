#pragma once

// The one computation behind both vendors' token counts. Pure.

#include <cstddef>
#include <span>

#include "cache/breakpoint.h"

namespace reprise {

// read + write_short + write_long + rest() = total, and none is negative.
struct Usage {
  int total = 0;        // tokens of the prompt
  int read = 0;         // taken from the cache
  int write_short = 0;  // newly kept because a breakpoint of less than an hour asked for it
  int write_long = 0;   // … of an hour or more

  int write() const { return write_short + write_long; }
  int rest() const { return total - read - write(); }

  bool operator==(const Usage&) const = default;
};

// A request is a hit that reads half of its prompt or more: nearly every one reads the first tokens
// of the template.
inline bool IsHit(size_t prompt_tokens, size_t read_tokens) {
  return read_tokens * 2 >= prompt_tokens;
}

// With B the last accepted breakpoint of an hour or more behind `read` (or `read` itself) and C the
// last accepted one behind B (or B itself): write_long = B − read, write_short = C − B. Breakpoints
// in any order; those that were not accepted count for nothing.
Usage ComputeUsage(int total, int read, std::span<const BreakpointOutcome> breakpoints);

}  // namespace reprise

#include "generation/usage.h"

#include <algorithm>

namespace reprise {
namespace {

constexpr Duration kLong = std::chrono::hours(1);

// The last accepted breakpoint of at least `ttl`, if it is behind `from`; else `from`.
int LastBehind(int from, int total, Duration ttl, std::span<const BreakpointOutcome> breakpoints) {
  int last = from;
  for (const BreakpointOutcome& breakpoint : breakpoints) {
    if (!breakpoint.accepted() || breakpoint.ttl < ttl) continue;
    last =
        std::max(last, static_cast<int>(std::min(breakpoint.tokens, static_cast<size_t>(total))));
  }
  return last;
}

}  // namespace

Usage ComputeUsage(int total, int read, std::span<const BreakpointOutcome> breakpoints) {
  const int end_long = LastBehind(read, total, kLong, breakpoints);
  const int end = LastBehind(end_long, total, Duration::zero(), breakpoints);
  return {
      .total = total, .read = read, .write_short = end - end_long, .write_long = end_long - read};
}

}  // namespace reprise

#pragma once

// Limits of what serves many machines: the stream of blocks, the router. As in base/limits.h, with
// what happens at each.

#include <cstddef>

namespace reprise::limits {

inline constexpr size_t kMaxReplicas = 64;  // of one router; more are refused at the start

// -- What a replica holds, told as it changes.

inline constexpr size_t kMaxToldBlocks = 4096;       // a snapshot's part; more come in several
inline constexpr size_t kMaxKnownBlocks = 1u << 20;  // of shared stores; the earliest are forgotten

}  // namespace reprise::limits

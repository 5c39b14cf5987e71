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

}  // namespace reprise

#pragma once

#include <cstddef>

namespace reprise {

// The least multiple of `multiple` that is not below `value`. The sum of both must be
// representable.
constexpr size_t RoundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace reprise

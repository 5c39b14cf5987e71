#pragma once

// bf16 in plain C++: the upper half of an f32. Rounds to nearest, ties to even; NaN stays NaN.
// For portable files; those compiled for one instruction set use its own instructions.

#include <bit>
#include <cstdint>

namespace reprise {

inline uint16_t ToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

inline float FromBf16(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

}  // namespace reprise

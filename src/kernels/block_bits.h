#pragma once

// Little-endian fields of a storage block, at any alignment. Any thread.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/pack_half.h"

namespace reprise {

inline uint8_t ByteAt(const std::byte* at) { return static_cast<uint8_t>(*at); }

inline uint16_t Bits16At(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}

inline uint32_t Bits32At(const std::byte* at) {
  uint32_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}

inline float HalfAt(const std::byte* at) { return HalfToFloat(Bits16At(at)); }

}  // namespace reprise

#pragma once

// What the kernels of products know of a packed format (pack.h) when they are compiled. Constants
// alone: no code.

#include "kernels/product.h"

namespace reprise {

enum class FormatKind : uint8_t { kSymmetric, kOffset, kCodes };

template <int kBits_, int kGroup_, FormatKind kKind>
struct TileFormat {
  static constexpr int kBits = kBits_;
  static constexpr int kGroup = kGroup_;
  static constexpr bool kOffset = kKind == FormatKind::kOffset;
  static constexpr bool kCodes = kKind == FormatKind::kCodes;
  // In a record: the low bits, and those that lie in planes above them.
  static constexpr int kLowBits = kBits < 4 ? 2 : kBits < 8 ? 4 : 8;
  static constexpr int kPlaneBits = kBits - kLowBits;
  // A plane that takes half a byte: outputs 32 .. 63 lie above 0 .. 31.
  static constexpr bool kHalfPlanes = kPlaneBits * kGroup == 16;
  // What the integers in a register have beyond those of the formula: q itself is read, but for
  // codes codebook + 128, and an offset needs none.
  static constexpr int kZero = kOffset ? 0 : kCodes ? 128 : 1 << (kBits - 1);
  static constexpr int kQuads = kGroup / 4;
  static constexpr int kValueBytes = kTileOutputs * kGroup * kBits / 8;
  static constexpr int kRecordBytes = kValueBytes + (kOffset ? 4 : 2) * kTileOutputs;
  // Unpacked: bytes, then d (and m) in f32.
  static constexpr int kUnpackedBytes = kTileOutputs * (kGroup + (kOffset ? 8 : 4));
  static constexpr int kRun = kUnpackInputs / kGroup;  // groups unpacked at a time
  static_assert(kRun * kUnpackedBytes <= kTileScratchBytes);
};

// call(TileFormat<...>()) of a matrix's format.
template <typename Call>
void WithFormat(const PackedFormat& format, Call call) {
  using enum FormatKind;
  switch (format.bits) {
    case 2:
      return call(TileFormat<2, 16, kOffset>());
    case 3:
      if (format.codebook == nullptr) return call(TileFormat<3, 16, kSymmetric>());
      return format.group == 16 ? call(TileFormat<3, 16, kCodes>())
                                : call(TileFormat<3, 32, kCodes>());
    case 4:
      if (format.codebook != nullptr) return call(TileFormat<4, 32, kCodes>());
      return format.offset ? call(TileFormat<4, 32, kOffset>())
                           : call(TileFormat<4, 32, kSymmetric>());
    case 5:
      return format.offset ? call(TileFormat<5, 32, kOffset>())
                           : call(TileFormat<5, 32, kSymmetric>());
    case 6:
      return call(TileFormat<6, 16, kSymmetric>());
    default:
      return call(TileFormat<8, 32, kSymmetric>());
  }
}

}  // namespace reprise

#pragma once

// Where the products of a block take their weights from: the packed record itself, or bytes
// unpacked to the scratch in L1. Templates over a vector type V (product_vector_avx2.h), whose
// unnamed namespace keeps each instruction set's code its own.
//
// A reader gives `kWidth` vectors of outputs, from vector `first` of the tile on, group by group:
// Quad(quad, c), factors D(c) and M(c), then Next(). Where V takes weights as signed bytes, 8-bit
// weights and codes are given as q - 128.

#include "kernels/product_format.h"

namespace reprise {

template <typename V>
inline constexpr int kTileVectors = kTileOutputs / V::kLanes;

// Whether Quad gives q - zero, so that nothing need be taken off the sums.
template <typename V, typename F>
inline constexpr bool kReadsSigned = V::kSignedWeights && (F::kBits == 8 || F::kCodes);

// Some consecutive groups of a tile.
struct GroupRun {
  int64_t first;
  int64_t groups;
};

template <typename V, typename F_, int kWidth_>
class RecordReader {
 public:
  using F = F_;
  static constexpr int kWidth = kWidth_;

  [[gnu::always_inline]] RecordReader(const TileCall& call, const GroupRun& run, int first)
      : values_(call.tile + run.first * F::kRecordBytes + kBytes * first),
        factors_(F::kValueBytes - kBytes / 2 * first),
        is_upper_(first >= kTileVectors<V> / 2) {
    if constexpr (F::kCodes) {
      codebook_ = V::LoadCodebook(call.format->codebook);
      if constexpr (!V::kSignedWeights) codebook_ = V::Xor(codebook_, V::EachByte(0x80));
    }
    ReadPlanes();
  }

  [[gnu::always_inline]] typename V::Bytes Quad(int quad, int c) const {
    if constexpr (F::kBits == 8) {
      const typename V::Bytes q = V::Load(At(quad) + kBytes * c);
      if constexpr (kReadsSigned<V, F>) return V::Xor(q, V::EachByte(0x80));
      return q;
    }
    constexpr int kQuadsOfByte = 8 / F::kLowBits;
    typename V::Bytes q = V::Load(At(quad / kQuadsOfByte) + kBytes * c);
    if (quad % kQuadsOfByte != 0) q = V::ShiftRight(q, F::kLowBits * (quad % kQuadsOfByte));
    q = V::And(q, V::EachByte((1 << F::kLowBits) - 1));
    if constexpr (F::kPlaneBits > 0) {
      // Bits that a 16-bit shift carries over from the neighbouring byte are masked away.
      const auto mask = V::EachByte(((1 << F::kPlaneBits) - 1) << F::kLowBits);
      const int left = F::kLowBits - F::kPlaneBits * quad;
      q = V::OrMasked(
          q, left < 0 ? V::ShiftRight(planes_[c], -left) : V::ShiftLeft(planes_[c], left), mask);
    }
    if constexpr (F::kCodes) q = V::Look(codebook_, q);
    return q;
  }

  [[gnu::always_inline]] typename V::Floats D(int c) const { return Factors(0, c); }
  [[gnu::always_inline]] typename V::Floats M(int c) const { return Factors(kTileOutputs, c); }

  [[gnu::always_inline]] void Next() {
    values_ += F::kRecordBytes;
    ReadPlanes();
  }

 private:
  static constexpr int kBytes = 4 * V::kLanes;

  // The 4 · 64 bytes number `index` of the record.
  [[gnu::always_inline]] const uint8_t* At(int index) const {
    return values_ + 4 * kTileOutputs * index;
  }

  [[gnu::always_inline]] void ReadPlanes() {
    if constexpr (F::kPlaneBits == 0) return;
    const uint8_t* const planes = values_ + kTileOutputs * F::kGroup * F::kLowBits / 8;
    constexpr int kHalf = kTileVectors<V> / 2;
#pragma GCC unroll 8
    for (int c = 0; c < kWidth; ++c) {
      if constexpr (F::kHalfPlanes) {
        const bool is_upper = is_upper_ || c >= kHalf;
        planes_[c] = V::Load(planes + kBytes * (is_upper ? c - kHalf : c));
        if (is_upper) planes_[c] = V::ShiftRight(planes_[c], 4);
      } else {
        planes_[c] = V::Load(planes + kBytes * c);
      }
    }
  }

  [[gnu::always_inline]] typename V::Floats Factors(int from, int c) const {
    return V::LoadHalves(values_ + factors_ + 2 * (from + V::kLanes * c));
  }

  const uint8_t* values_;
  const ptrdiff_t factors_;
  const bool is_upper_;  // the whole of the vectors lies among outputs 32 .. 63
  typename V::Bytes codebook_;
  typename V::Bytes planes_[kWidth];
};

// Groups that UnpackRun wrote, from the scratch's start on.
template <typename V, typename F_, int kWidth_>
class UnpackedReader {
 public:
  using F = F_;
  static constexpr int kWidth = kWidth_;

  [[gnu::always_inline]] UnpackedReader(const TileCall& call, const GroupRun&, int first)
      : values_(call.scratch + 4 * V::kLanes * first) {}

  [[gnu::always_inline]] typename V::Bytes Quad(int quad, int c) const {
    return V::Load(values_ + 4 * (kTileOutputs * quad + V::kLanes * c));
  }
  [[gnu::always_inline]] typename V::Floats D(int c) const { return Factors(0, c); }
  [[gnu::always_inline]] typename V::Floats M(int c) const { return Factors(kTileOutputs, c); }
  [[gnu::always_inline]] void Next() { values_ += F::kUnpackedBytes; }

 private:
  // An f32 takes as many bytes as four weights of an output.
  [[gnu::always_inline]] typename V::Floats Factors(int from, int c) const {
    const uint8_t* const at = values_ + kTileOutputs * F::kGroup + 4 * (from + V::kLanes * c);
    return V::LoadFloats(reinterpret_cast<const float*>(at));
  }

  const uint8_t* values_;
};

template <typename V, typename F>
void UnpackRun(const TileCall& call, const GroupRun& run) {
  constexpr int kVectors = kTileVectors<V>;
  constexpr int kWidth = V::kUnpackWidth;
  for (int first = 0; first < kVectors; first += kWidth) {
    RecordReader<V, F, kWidth> reader(call, run, first);
    uint8_t* out = call.scratch;
    for (int64_t g = 0; g < run.groups; ++g, out += F::kUnpackedBytes, reader.Next()) {
#pragma GCC unroll 8
      for (int quad = 0; quad < F::kQuads; ++quad) {
        for (int c = 0; c < kWidth; ++c) {
          V::Store(out + 4 * (kTileOutputs * quad + V::kLanes * (first + c)), reader.Quad(quad, c));
        }
      }
      auto* const factors = reinterpret_cast<float*>(out + kTileOutputs * F::kGroup);
      for (int c = 0; c < kWidth; ++c) {
        float* const at = factors + V::kLanes * (first + c);
        V::StoreFloats(at, reader.D(c));
        if constexpr (F::kOffset) V::StoreFloats(at + kTileOutputs, reader.M(c));
      }
    }
  }
}

}  // namespace reprise

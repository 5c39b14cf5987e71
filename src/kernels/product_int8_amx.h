#pragma once

// Products of quantised weights by tiles of bytes, for groups of 32 and blocks of 16 rows, with the
// bits of avx512's: the sum of a group's products is an exact integer however it is formed, and it
// is scaled by the same operations in the same order (product.h). Templates over HardwareTiles and
// EmulatedTiles; the unnamed namespace keeps them to product_amx.cc.
//
// A is 16 rows × 32 bytes, straight from QuantizedRows. B is 8 quads × 16 outputs of q - zero as
// signed bytes, unpacked for up to 64 groups at once (140 to 160 KiB, in L2): B tiles follow each
// other for that long, and the scaled sums of a block, 16 rows × 16 outputs, stay in 16 registers.
//
// What bounds it, on Sapphire Rapids: beside tiles, float operations on 512 bits run at one a
// cycle, and a step of 16 × 16 × 32 has 48 (conversion, product of scales, fma for each row), or 64
// with an offset; measured 49 and 65 cycles, of which the tile product takes 16. The formula needs
// 32 of the 48. Conversions can be saved by integers in bf16 tiles, whose sums are f32: twice the
// bytes to load, and slower from 1,536 inputs on. Registers of 256 bits have the same 16 lanes a
// cycle on two ports; only additions could go to a third, so that C loaded with 1.5 · 2^23 as an
// integer, which subtracting the same number turns into the exact f32, would take a step to 32
// cycles. But then the sums of 16 rows alone fill all 32 registers: that is not tried here.

#include <immintrin.h>

#include "kernels/product_reader.h"
#include "kernels/product_vector_avx512.h"
#include "kernels/tiles.h"

namespace reprise::amx {
namespace {

constexpr int kGroupsUnpacked = 64;
constexpr int kOutputVectors = kTileOutputs / 16;
constexpr int kQuadsOfGroup = kActivationGroup / 4;
constexpr int kTileBytes = kQuadsOfGroup * 64;  // B, of one group and 16 outputs
constexpr int kSumsBytes = kTileRows * kTileRowBytes;

// A group unpacked: B for each 16 outputs, then d (and m) in f32.
template <typename F>
constexpr int kGroupBytes = kOutputVectors* kTileBytes + (F::kOffset ? 8 : 4) * kTileOutputs;

// Where kernels keep what they unpack: two slots of sums, then the groups.
template <typename F>
constexpr size_t kInt8ScratchBytes = 2 * kSumsBytes + size_t{kGroupsUnpacked} * kGroupBytes<F>;

template <typename F>
void UnpackTiles(const TileCall& call, const GroupRun& run, uint8_t* out) {
  const __m512i zero = _mm512_set1_epi8(static_cast<char>(F::kZero));
  RecordReader<ProductVector512, F, kOutputVectors> reader(call, run, 0);
  for (int64_t g = 0; g < run.groups; ++g, out += kGroupBytes<F>, reader.Next()) {
#pragma GCC unroll 8
    for (int quad = 0; quad < kQuadsOfGroup; ++quad) {
      for (int c = 0; c < kOutputVectors; ++c) {
        _mm512_store_si512(out + kTileBytes * c + 64 * quad,
                           _mm512_sub_epi8(reader.Quad(quad, c), zero));
      }
    }
    auto* const factors = reinterpret_cast<float*>(out + kOutputVectors * kTileBytes);
    for (int c = 0; c < kOutputVectors; ++c) {
      _mm512_store_ps(factors + 16 * c, reader.D(c));
      if constexpr (F::kOffset) _mm512_store_ps(factors + kTileOutputs + 16 * c, reader.M(c));
    }
  }
}

// Tiles 0 and 1 are C, 2 and 3 A, 4 and 5 B, of even and odd steps.
constexpr TileShapes kInt8Shapes = {
    {kTileRows, 64},     {kTileRows, 64},     {kTileRows, 32}, {kTileRows, 32},
    {kQuadsOfGroup, 64}, {kQuadsOfGroup, 64}, {1, 4},          {1, 4}};

// 16 rows × 16 outputs over a run of groups. All inline, so that what it points to stays in
// registers: in memory, each tile instruction, which may read and write it, would spill all of that
// (35 cycles a step).
template <typename Tiles, typename F>
class Int8Block {
 public:
  // Rows from `row` of the call on, outputs 16c .. 16c + 15.
  [[gnu::always_inline]] Int8Block(const TileCall& call, int row, int c, const GroupRun& run)
      : x_(call.quantized->q + (call.first_row + row) * call.quantized->q_stride +
           kActivationGroup * run.first),
        scale_(call.quantized->scale + (call.first_row + row) * call.quantized->group_stride +
               run.first),
        scaled_sum_(call.quantized->scaled_sum +
                    (call.first_row + row) * call.quantized->group_stride + run.first),
        x_stride_(call.quantized->q_stride),
        scale_stride_(call.quantized->group_stride),
        products_(reinterpret_cast<int32_t*>(call.scratch)),
        w_(call.scratch + 2 * kSumsBytes + kTileBytes * c),
        factors_(reinterpret_cast<const float*>(call.scratch + 2 * kSumsBytes +
                                                kOutputVectors * kTileBytes) +
                 16 * c) {}

  // Adds the run's groups to the sums in y; the first run starts them.
  [[gnu::always_inline]] void Run(const GroupRun& run, float* y, ptrdiff_t y_stride) {
    __m512 sums[kTileRows];
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      sums[r] = run.first == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(y + r * y_stride);
    }
    // In step g the tile product of group g, the store of g - 1, the scaling of g - 2: a store
    // right behind its product holds up the next one (29 cycles a step for 19).
    Multiply<0>();
    if (run.groups > 1) Multiply<1>();
    Store<0>();
    int64_t g = 2;
    for (; g + 2 <= run.groups; g += 2) {
      Multiply<0>();
      Store<1>();
      Scale<0>(sums);
      Multiply<1>();
      Store<0>();
      Scale<1>(sums);
    }
    if (g < run.groups) {
      Multiply<0>();
      Store<1>();
      Scale<0>(sums);
      Store<0>();
      Scale<1>(sums);
      Scale<0>(sums);
    } else if (run.groups > 1) {
      Store<1>();
      Scale<0>(sums);
      Scale<1>(sums);
    } else {
      Scale<0>(sums);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) _mm512_storeu_ps(y + r * y_stride, sums[r]);
  }

 private:
  template <int kParity>
  [[gnu::always_inline]] void Multiply() {
    Tiles::template Load<2 + kParity>(x_, x_stride_);
    Tiles::template Load<4 + kParity>(w_, 64);
    Tiles::template Zero<kParity>();
    Tiles::template MultiplySS<kParity, 2 + kParity, 4 + kParity>();
    x_ += kActivationGroup;
    w_ += kGroupBytes<F>;
  }

  template <int kParity>
  [[gnu::always_inline]] void Store() {
    Tiles::template Store<kParity>(products_ + kSumsBytes / 4 * kParity, 64);
  }

  // The formula's two steps after a group (product.h).
  template <int kParity>
  [[gnu::always_inline]] void Scale(__m512 (&sums)[kTileRows]) {
    const int32_t* const products = products_ + kSumsBytes / 4 * kParity;
    const __m512 d = _mm512_load_ps(factors_);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(scale_[r * scale_stride_]));
      const __m512 product = _mm512_cvtepi32_ps(_mm512_load_si512(products + 16 * r));
      sums[r] = _mm512_fmadd_ps(product, scale, sums[r]);
    }
    if constexpr (F::kOffset) {
      const __m512 m = _mm512_load_ps(factors_ + kTileOutputs);
#pragma GCC unroll 16
      for (int r = 0; r < kTileRows; ++r) {
        sums[r] = _mm512_fmadd_ps(m, _mm512_set1_ps(scaled_sum_[r * scale_stride_]), sums[r]);
      }
    }
    factors_ += kGroupBytes<F> / 4;
    ++scale_;
    ++scaled_sum_;
  }

  const int8_t* x_;
  const float* scale_;
  const float* scaled_sum_;
  const ptrdiff_t x_stride_;
  const ptrdiff_t scale_stride_;
  int32_t* const products_;
  const uint8_t* w_;
  const float* factors_;
};

// The call's first `rows` rows, a multiple of 16.
template <typename Tiles, typename F>
void MultiplyInt8(const TileCall& call, int rows) {
  static_assert(F::kGroup == kActivationGroup && kInt8ScratchBytes<F> <= kTileScratchBytes);
  const Tiled<Tiles> tiled(kInt8Shapes);
  const int64_t groups = call.columns / F::kGroup;
  for (int64_t g = 0; g < groups; g += kGroupsUnpacked) {
    const GroupRun run = {g, groups - g < kGroupsUnpacked ? groups - g : kGroupsUnpacked};
    UnpackTiles<F>(call, run, call.scratch + 2 * kSumsBytes);
    for (int row = 0; row < rows; row += kTileRows) {
      for (int c = 0; c < kOutputVectors; ++c) {
        Int8Block<Tiles, F>(call, row, c, run)
            .Run(run, call.y + row * call.y_stride + 16 * c, call.y_stride);
      }
    }
  }
}

}  // namespace
}  // namespace reprise::amx

#pragma once

// Products of 16-bit weights by tiles of bf16, and of few rows by vector code with the same bits.
// These are not the bits of avx512's: for each output
//
//   acc = acc + (even + odd)     for each run of 32 inputs, ascending, from 0
//
// where even and odd sum the products of the run's even and odd inputs, each from 0 in ascending
// order by fma, and denormals count as zero: what tdpbf16ps does (tiles.h). Inputs are padded with
// zeros to a multiple of 32. Templates over HardwareTiles and EmulatedTiles; the unnamed namespace
// keeps them to product_amx.cc.

#include <immintrin.h>

#include "kernels/product.h"
#include "kernels/simd_avx512.h"
#include "kernels/tiles.h"

namespace reprise::amx {
namespace {

constexpr int kBf16Inputs = 32;  // of a tile
constexpr int kBf16Pairs = kBf16Inputs / 2;
constexpr int kPairBytes = kTileOutputs * 4;  // a record: 64 outputs × 2 inputs
constexpr int kStepBytes = kBf16Pairs * kPairBytes;

// The tile's records, 16 pairs at a time; the last pairs are padded with zeros, in the scratch.
class Bf16Steps {
 public:
  explicit Bf16Steps(const TileCall& call)
      : tile_(call.tile), whole_(call.columns / kBf16Inputs), last_(call.scratch) {
    const int64_t pairs = (call.columns + 1) / 2 - whole_ * kBf16Pairs;
    if (pairs == 0) return;
    count_ = 1;
    __builtin_memcpy(call.scratch, tile_ + whole_ * kStepBytes,
                     static_cast<size_t>(pairs * kPairBytes));
    __builtin_memset(call.scratch + pairs * kPairBytes, 0,
                     static_cast<size_t>(kStepBytes - pairs * kPairBytes));
  }

  int64_t count() const { return whole_ + count_; }
  [[gnu::always_inline]] const uint8_t* operator[](int64_t step) const {
    return step < whole_ ? tile_ + step * kStepBytes : last_;
  }

 private:
  const uint8_t* tile_;
  int64_t whole_;
  const uint8_t* last_;
  int64_t count_ = 0;  // of what is padded
};

// -- Few rows -----------------------------------------------------------------------------------

// One step of kRows rows: y += even + odd, or y = where it is the first.
template <int kRows>
[[gnu::always_inline]] inline void AddBf16Step(const uint8_t* w, const uint16_t* x,
                                               ptrdiff_t x_stride, bool is_first, float* y,
                                               ptrdiff_t y_stride) {
  constexpr int kVectors = kTileOutputs / 16;
  __m512 even[kRows][kVectors];
  __m512 odd[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) even[r][c] = odd[r][c] = _mm512_setzero_ps();
  }
#pragma GCC unroll 4
  for (int pair = 0; pair < kBf16Pairs; ++pair, w += kPairBytes) {
    for (int c = 0; c < kVectors; ++c) {
      const __m512i ws = _mm512_load_si512(w + 64 * c);
      const __m512 even_w = EvenBf16(ws).v;
      const __m512 odd_w = OddBf16(ws).v;
      for (int r = 0; r < kRows; ++r) {
        uint32_t two;
        __builtin_memcpy(&two, x + r * x_stride + 2 * pair, sizeof(two));
        const auto xs = _mm512_set1_epi32(static_cast<int32_t>(two));
        even[r][c] = _mm512_fmadd_ps(EvenBf16(xs).v, even_w, even[r][c]);
        odd[r][c] = _mm512_fmadd_ps(OddBf16(xs).v, odd_w, odd[r][c]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) {
      float* const at = y + r * y_stride + 16 * c;
      const __m512 acc = is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(at);
      _mm512_storeu_ps(at, _mm512_add_ps(acc, _mm512_add_ps(even[r][c], odd[r][c])));
    }
  }
}

// Steps outside, so that weights come from memory once: those of a step, 4 KiB, stay in L1.
void MultiplyFewBf16(const TileCall& call) {
  const Bf16Steps steps(call);
  const FlushDenormals flush;
  const ptrdiff_t stride = call.bf16->stride;
  const uint16_t* x = call.bf16->x + call.first_row * stride;
  for (int64_t step = 0; step < steps.count(); ++step, x += kBf16Inputs) {
    const uint8_t* const w = steps[step];
    int r = 0;
    for (; r + 2 <= call.rows; r += 2) {
      AddBf16Step<2>(w, x + r * stride, stride, step == 0, call.y + r * call.y_stride,
                     call.y_stride);
    }
    if (r < call.rows) {
      AddBf16Step<1>(w, x + r * stride, stride, step == 0, call.y + r * call.y_stride,
                     call.y_stride);
    }
  }
}

// -- Many rows ----------------------------------------------------------------------------------

// Tiles 0 .. 3 are C, [2 of rows][2 of outputs], 4 and 5 A, 6 and 7 B: 32 outputs of up to 32 rows,
// of which `rows` are used.
struct Bf16Shapes {
  explicit Bf16Shapes(int rows) {
    const int upper = rows < kTileRows ? rows : kTileRows;
    const int lower = rows > kTileRows ? rows - kTileRows : 1;
    for (TileShape& shape : shapes) shape = {kTileRows, kTileRowBytes};
    shapes[0].rows = shapes[1].rows = shapes[4].rows = upper;
    shapes[2].rows = shapes[3].rows = shapes[5].rows = lower;
  }
  TileShapes shapes;
};

// Steps whose weights, 512 KiB, stay in L2 while all rows pass by.
constexpr int64_t kStepsOfRun = 128;

struct StepRun {
  int64_t first;
  int64_t end;
};

// Tile T is C: what is in y, or 0 before the first step.
template <typename Tiles, int T>
[[gnu::always_inline]] inline void BeginSums(const StepRun& run, const float* y, ptrdiff_t stride) {
  if (run.first == 0) {
    Tiles::template Zero<T>();
  } else {
    Tiles::template Load<T>(y, stride);
  }
}

// Rows from `row` of the call on: up to 16, or with kLower up to 32.
template <typename Tiles, bool kLower>
void MultiplyBf16Block(const TileCall& call, const Bf16Steps& steps, const StepRun& run, int row) {
  const ptrdiff_t x_stride = call.bf16->stride;
  const ptrdiff_t x_bytes = 2 * x_stride;
  const ptrdiff_t y_bytes = 4 * call.y_stride;
  for (int first = 0; first < kTileOutputs; first += 32) {
    float* const y = call.y + row * call.y_stride + first;
    float* const lower_y = y + kTileRows * call.y_stride;
    BeginSums<Tiles, 0>(run, y, y_bytes);
    BeginSums<Tiles, 1>(run, y + 16, y_bytes);
    if constexpr (kLower) {
      BeginSums<Tiles, 2>(run, lower_y, y_bytes);
      BeginSums<Tiles, 3>(run, lower_y + 16, y_bytes);
    }
    const uint16_t* x = call.bf16->x + (call.first_row + row) * x_stride + run.first * kBf16Inputs;
    for (int64_t step = run.first; step < run.end; ++step, x += kBf16Inputs) {
      const uint8_t* const w = steps[step] + 4 * first;
      Tiles::template Load<6>(w, kPairBytes);
      Tiles::template Load<4>(x, x_bytes);
      Tiles::template MultiplyBf16<0, 4, 6>();
      Tiles::template Load<7>(w + 64, kPairBytes);
      Tiles::template MultiplyBf16<1, 4, 7>();
      if constexpr (kLower) {
        Tiles::template Load<5>(x + kTileRows * x_stride, x_bytes);
        Tiles::template MultiplyBf16<2, 5, 6>();
        Tiles::template MultiplyBf16<3, 5, 7>();
      }
    }
    Tiles::template Store<0>(y, y_bytes);
    Tiles::template Store<1>(y + 16, y_bytes);
    if constexpr (kLower) {
      Tiles::template Store<2>(lower_y, y_bytes);
      Tiles::template Store<3>(lower_y + 16, y_bytes);
    }
  }
}

template <typename Tiles>
void MultiplyBf16Run(const TileCall& call, const Bf16Steps& steps, const StepRun& run) {
  constexpr int kBlock = 2 * kTileRows;
  const int whole = call.rows / kBlock * kBlock;
  if (whole > 0) {
    const Tiled<Tiles> tiled(Bf16Shapes(kBlock).shapes);
    for (int row = 0; row < whole; row += kBlock) {
      MultiplyBf16Block<Tiles, true>(call, steps, run, row);
    }
  }
  const int rest = call.rows - whole;
  if (rest == 0) return;
  const Tiled<Tiles> tiled(Bf16Shapes(rest).shapes);
  if (rest > kTileRows) {
    MultiplyBf16Block<Tiles, true>(call, steps, run, whole);
  } else {
    MultiplyBf16Block<Tiles, false>(call, steps, run, whole);
  }
}

template <typename Tiles>
void MultiplyManyBf16(const TileCall& call) {
  const Bf16Steps steps(call);
  const int64_t count = steps.count();
  for (int64_t first = 0; first < count; first += kStepsOfRun) {
    const int64_t end = first + kStepsOfRun < count ? first + kStepsOfRun : count;
    MultiplyBf16Run<Tiles>(call, steps, {first, end});
  }
}

}  // namespace
}  // namespace reprise::amx

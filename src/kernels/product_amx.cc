// Products for AMX: many rows by tiles, few by vector code. Quantised weights have the bits of
// avx512's, 16-bit weights their own.

#include "kernels/product_bf16_amx.h"
#include "kernels/product_int8_amx.h"

namespace reprise::amx {
namespace {

// Fewer rows than these are not worth unpacking for.
constexpr int kManyRows = 32;
// Up to here fma keep up with tiles: of 64 outputs and 32 inputs, 64 cycles a row against 66 for up
// to 16 rows, and what it takes to wake the tiles.
constexpr int kFewBf16Rows = 4;

// Rows `first` and later of a call.
TileCall RowsFrom(const TileCall& call, int first) {
  TileCall rest = call;
  rest.first_row += first;
  rest.rows -= first;
  rest.y += first * call.y_stride;
  return rest;
}

template <typename Tiles>
void MultiplyQuantized(const TileCall& call) {
  // Groups of 16 would fill half of a tile, and have twice the scaling.
  int by_tiles = 0;
  if (call.rows >= kManyRows && call.format->group == kActivationGroup) {
    by_tiles = call.rows / kTileRows * kTileRows;
    WithFormat(*call.format, [&]<typename F>(F) {
      if constexpr (F::kGroup == kActivationGroup) MultiplyInt8<Tiles, F>(call, by_tiles);
    });
  }
  if (by_tiles < call.rows) avx512::kProduct.quantized_tile(RowsFrom(call, by_tiles));
}

template <typename Tiles>
void MultiplyBf16(const TileCall& call) {
  if (call.rows <= kFewBf16Rows) {
    MultiplyFewBf16(call);
  } else {
    MultiplyManyBf16<Tiles>(call);
  }
}

// Functions, not avx512's pointers: those of another file may not be there yet when this one's are
// filled in.

// Padded with 0 to a whole number of tiles.
void RoundRow(const float* x, int columns, const Bf16Rows& out, int row) {
  avx512::kProduct.round_row(x, columns, out, row);
  uint16_t* const to = out.x + row * out.stride;
  for (int i = columns; i % kBf16Inputs != 0; ++i) to[i] = 0;
}

void QuantizeRow(const float* x, int columns, const QuantizedRows& out, int row) {
  avx512::kProduct.quantize_row(x, columns, out, row);
}

void ExactRows(const float* x, int rows, int columns, const float* w, int outputs, float* y,
               ptrdiff_t y_stride) {
  avx512::kProduct.exact_rows(x, rows, columns, w, outputs, y, y_stride);
}

}  // namespace

const ProductKernels kProduct = {.quantize_row = QuantizeRow,
                                 .round_row = RoundRow,
                                 .quantized_tile = MultiplyQuantized<HardwareTiles>,
                                 .bf16_tile = MultiplyBf16<HardwareTiles>,
                                 .exact_rows = ExactRows};

const ProductKernels kEmulatedProduct = {.quantize_row = QuantizeRow,
                                         .round_row = RoundRow,
                                         .quantized_tile = MultiplyQuantized<EmulatedTiles>,
                                         .bf16_tile = MultiplyBf16<EmulatedTiles>,
                                         .exact_rows = ExactRows};

}  // namespace reprise::amx

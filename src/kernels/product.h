#pragma once

// Products with packed weights: what the driver (product_driver.cc) and the kernels of the
// instruction sets (product_plain.cc; product_avx2.cc, product_avx_vnni.cc and product_avx512.cc,
// whose loops stand in product_tile.h) say to each other. Only plain structs and tables of
// functions, so that no inline code compiled for one instruction set can be linked into another's
// path.
//
// THE FORMULA for quantised weights. Activations are quantised per row and group of 32 inputs:
// scale s = max|x| / 127, integers xq = round(x / s) to nearest even. For each output, groups g of
// weights in ascending order:
//
//   types with an offset:     acc = fma(float(Σ q·xq), d·s, acc);  acc = fma(m, s·Σxq, acc)
//   types without (symmetric): acc = fma(float(Σ q·xq − zero·Σxq), d·s, acc)
//
// Where a group has 16 weights, Σxq is over these 16. Types of a codebook are symmetric: what is
// packed is a code, and q = codebook[code] + 128, zero = 128. In the end, acc is multiplied by the
// matrix's unit of factors, a power of two, where it is not 1 (tile_products.cc).
//
// The sums of integers are exact, so only the order of the groups rounds, and it is fixed. (Plain
// C++ has no fma that is fast everywhere: it multiplies, then adds.) For 16-bit weights: inputs in
// ascending pairs, rounded to bf16, products accumulated in f32.
//
// LAYOUT. Outputs are cut into tiles of 64; a tile is a run of records, one per group of inputs
// (pack.h draws them): 4 registers of 16 outputs × 4 inputs of bytes, so that a single row has as
// many sums in flight as vpdpbusd's latency hides.

#include <cstddef>
#include <cstdint>

namespace reprise {

inline constexpr int kTileOutputs = 64;
inline constexpr int kActivationGroup = 32;

// How one matrix is packed. bits 16 is bf16: no groups, `group` is 2 (a pair of inputs).
struct PackedFormat {
  int bits;
  int group;
  int zero;
  bool offset;
  const int8_t* codebook;  // [16] (pack_groups.h), of 3 and 4 bits; or null
  size_t record_bytes;     // one group of one tile, a multiple of 64
  float unit;              // factors are stored in units of it
};

// Activations quantised for one call. Strides in elements; row r of q starts at q + r * q_stride.
struct QuantizedRows {
  int8_t* q;           // [rows, columns]
  float* scale;        // [rows, columns / 32]
  float* scaled_sum;   // [rows, columns / 32], scale * sum of the group's q
  int32_t* half_sums;  // [rows, columns / 16], sums of q by 16
  ptrdiff_t q_stride;
  ptrdiff_t group_stride;  // of scale and scaled_sum; half_sums has twice as much
};

// Activations in bf16 for one call, padded with 0 to an even number of columns.
struct Bf16Rows {
  uint16_t* x;  // [rows, stride]
  ptrdiff_t stride;
};

// One tile of one matrix times rows first_row .. first_row + rows - 1 of x:
// y[(r - first_row) * y_stride + n], n < 64, of which the padding of a last tile is computed too.
struct TileCall {
  const PackedFormat* format;
  const uint8_t* tile;
  int64_t columns;
  const QuantizedRows* quantized;  // where bits < 16
  const Bf16Rows* bf16;            // where bits == 16
  int first_row;
  int rows;
  float* y;
  ptrdiff_t y_stride;
  uint8_t* scratch;  // kTileScratchBytes, 64-byte aligned, one per thread
};

// A run of unpacked groups: 8 groups of 32 inputs × 64 outputs are 16 KiB of bytes and 4 KiB of
// factors in f32, which stay in 32 KiB of L1 beside 6 rows of x and the accumulators. (Tiles of AMX
// take longer runs, from L2; what of the scratch is not written takes no memory.)
inline constexpr int kUnpackInputs = 256;
inline constexpr size_t kTileScratchBytes = 192 * 1024;

struct ProductKernels {
  // Row `row` of out from x[columns], columns a multiple of 32. A group whose largest magnitude is
  // below 2^-100 counts as zero; one with a NaN or an infinity gets the scale NaN.
  void (*quantize_row)(const float* x, int columns, const QuantizedRows& out, int row);
  void (*round_row)(const float* x, int columns, const Bf16Rows& out, int row);
  void (*quantized_tile)(const TileCall& call);
  void (*bf16_tile)(const TileCall& call);
  // Compute::kExact: y[r * y_stride + n] = Σ x[r]·w[n] for n < outputs ≤ 4, over `columns` padded
  // with 0 to a multiple of 16: 16 partial sums (input k goes to sum k mod 16), products and sums
  // rounded one by one, folded in a fixed tree. The same bits on every instruction set.
  void (*exact_rows)(const float* x, int rows, int columns, const float* w, int outputs, float* y,
                     ptrdiff_t y_stride);
};

namespace plain {
extern const ProductKernels kProduct;
}
namespace avx2 {
extern const ProductKernels kProduct;
}
namespace avx_vnni {
extern const ProductKernels kProduct;
}
namespace avx512 {
extern const ProductKernels kProduct;
// Its bf16_tile is one of these, which have the same bits: by vdpbf16ps, or by fma where that is
// slow.
void Bf16TileByPairs(const TileCall& call);
void Bf16TileByFma(const TileCall& call);
}  // namespace avx512
namespace amx {
extern const ProductKernels kProduct;
extern const ProductKernels kEmulatedProduct;  // the same bits, where there is AVX-512
}  // namespace amx

}  // namespace reprise

#pragma once

// What each thread of a pool does with the tiles of packed matrices (pack.h) that fall to it: the
// product of a tile with a run of rows, with bias, and what a feed-forward layer does between its
// products. The drivers (product_driver.h, experts_driver.h) cut the work and share it out. Every
// output element is summed in the kernel's fixed order and depends on its own row alone.
//
// Called by the threads of a pool at once: scratch goes by `thread`, their number.

#include <span>

#include "kernels/activations.h"
#include "kernels/elementwise.h"
#include "kernels/operations.h"
#include "kernels/pack.h"
#include "kernels/product.h"

namespace reprise {

// Rows that one item of work takes of a tile. 192 rows of 1,536 bytes of x are 288 KiB: they stay
// in a core's L2 while the tiles pass by, and unpacking a tile is less than 2 % of its products.
inline constexpr int kRowsPerItem = 192;

// Where there are too few items to share out evenly, longer runs of rows are halved.
inline constexpr int kHalvedAbove = 32;
inline constexpr int kItemsPerThread = 24;

// A tile of outputs of a run of rows, kRowsPerItem at most.
struct TileItem {
  int64_t tile;
  int first_row;
  int rows;
};

// Ends the process where shapes or biases do not fit each other.
void CheckGated(const GatedMatrices& ws);

// gate[count] = act(gate + gate_bias) * (up + up_bias) for outputs first .. first + count - 1 of
// one row; without a gate up = act(up + up_bias). The buffer with the result.
float* ActivateGated(const ElementwiseKernels& kernels, const GatedMatrices& ws, int64_t first,
                     int64_t count, float* gate, float* up);

class TileProducts {
 public:
  TileProducts(const ProductKernels& kernels, const ElementwiseKernels& elementwise, int threads);

  // The item's part of y[.., matrix.rows()] = x · matrixᵀ + bias; `bias` [matrix.rows()] or empty.
  void Multiply(const PackedMatrix& matrix, const TileItem& item, const Activations& x,
                std::span<const float> bias, float* y, int thread);
  // The item's part of what the down matrix multiplies, put into the same rows of `gated`.
  void MultiplyGated(const GatedMatrices& ws, const TileItem& item, const Activations& x,
                     Activations& gated, int thread);

 private:
  // All 64 outputs of the tile.
  void MultiplyWhole(const PackedMatrix& matrix, const TileItem& item, const Activations& x,
                     float* y, ptrdiff_t y_stride, int thread);
  uint8_t* Scratch(int thread);
  float* Results(int thread);

  const ProductKernels& kernels_;
  const ElementwiseKernels& elementwise_;
  AlignedBytes scratch_;
};

}  // namespace reprise

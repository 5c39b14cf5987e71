#include "kernels/tile_products.h"

#include <algorithm>

#include "base/check.h"

namespace reprise {
namespace {

// After the kernel's own scratch lie two tiles of results: gate and up, or in the first a last tile
// with fewer than 64 outputs.
constexpr size_t kResults = size_t{kTileOutputs} * kRowsPerItem;
constexpr size_t kThreadScratchBytes = kTileScratchBytes + 2 * kResults * sizeof(float);

int64_t OutputsOf(const PackedMatrix& matrix, int64_t tile) {
  return std::min<int64_t>(kTileOutputs, matrix.rows() - tile * kTileOutputs);
}

}  // namespace

void CheckGated(const GatedMatrices& ws) {
  CHECK(ws.down->columns() == ws.up->rows(), "down takes what up gives");
  if (ws.gate == nullptr) {
    CHECK(ws.gate_bias.empty() && ws.activation != Activation::kClampedSilu,
          "without a gate there is nothing of it");
  } else {
    CHECK(ws.gate->columns() == ws.up->columns() && ws.gate->rows() == ws.up->rows(),
          "gate and up fit each other");
  }
  for (const std::span<const float> bias : {ws.gate_bias, ws.up_bias}) {
    CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == ws.up->rows(),
          "a bias for each inner output");
  }
  CHECK(ws.down_bias.empty() || static_cast<int64_t>(ws.down_bias.size()) == ws.down->rows(),
        "a bias for each output");
}

float* ActivateGated(const ElementwiseKernels& kernels, const GatedMatrices& ws, int64_t first,
                     int64_t count, float* gate, float* up) {
  if (!ws.up_bias.empty()) kernels.add(up, ws.up_bias.data() + first, count);
  if (ws.gate == nullptr) {
    kernels.activate(ws.activation, up, count);
    return up;
  }
  if (!ws.gate_bias.empty()) kernels.add(gate, ws.gate_bias.data() + first, count);
  kernels.activate_gated(ws.activation, gate, up, count);
  return gate;
}

TileProducts::TileProducts(const ProductKernels& kernels, const ElementwiseKernels& elementwise,
                           int threads)
    : kernels_(kernels),
      elementwise_(elementwise),
      scratch_(static_cast<size_t>(threads) * kThreadScratchBytes) {}

void TileProducts::Multiply(const PackedMatrix& matrix, const TileItem& item, const Activations& x,
                            std::span<const float> bias, float* y, int thread) {
  const int64_t first = item.tile * kTileOutputs;
  const int64_t outputs = OutputsOf(matrix, item.tile);
  float* const to = y + item.first_row * matrix.rows() + first;
  if (outputs == kTileOutputs) {
    MultiplyWhole(matrix, item, x, to, matrix.rows(), thread);
  } else {
    float* const partial = Results(thread);
    MultiplyWhole(matrix, item, x, partial, kTileOutputs, thread);
    for (int row = 0; row < item.rows; ++row) {
      std::copy_n(partial + row * kTileOutputs, outputs, to + row * matrix.rows());
    }
  }
  if (bias.empty()) return;
  for (int row = 0; row < item.rows; ++row) {
    elementwise_.add(to + row * matrix.rows(), bias.data() + first, outputs);
  }
}

void TileProducts::MultiplyGated(const GatedMatrices& ws, const TileItem& item,
                                 const Activations& x, Activations& gated, int thread) {
  const PackedMatrix& up = Packed(*ws.up);
  float* const gates = Results(thread);
  float* const ups = gates + kResults;
  if (ws.gate != nullptr) MultiplyWhole(Packed(*ws.gate), item, x, gates, kTileOutputs, thread);
  MultiplyWhole(up, item, x, ups, kTileOutputs, thread);
  const int64_t first = item.tile * kTileOutputs;
  const int64_t outputs = OutputsOf(up, item.tile);
  for (int row = 0; row < item.rows; ++row) {
    const float* const active = ActivateGated(elementwise_, ws, first, outputs,
                                              gates + row * kTileOutputs, ups + row * kTileOutputs);
    gated.Put(active, item.first_row + row, static_cast<int>(first), static_cast<int>(outputs));
  }
}

void TileProducts::MultiplyWhole(const PackedMatrix& matrix, const TileItem& item,
                                 const Activations& x, float* y, ptrdiff_t y_stride, int thread) {
  const TileCall call = {.format = &matrix.format(),
                         .tile = matrix.tile(item.tile),
                         .columns = matrix.columns(),
                         .quantized = &x.quantized(),
                         .bf16 = &x.bf16(),
                         .first_row = item.first_row,
                         .rows = item.rows,
                         .y = y,
                         .y_stride = y_stride,
                         .scratch = Scratch(thread)};
  (matrix.format().bits == 16 ? kernels_.bf16_tile : kernels_.quantized_tile)(call);
  const float unit = matrix.format().unit;
  if (unit == 1.0F) return;
  for (int row = 0; row < item.rows; ++row) {
    for (int n = 0; n < kTileOutputs; ++n) y[row * y_stride + n] *= unit;
  }
}

uint8_t* TileProducts::Scratch(int thread) {
  return scratch_.data() + static_cast<size_t>(thread) * kThreadScratchBytes;
}

float* TileProducts::Results(int thread) {
  return reinterpret_cast<float*>(Scratch(thread) + kTileScratchBytes);
}

}  // namespace reprise

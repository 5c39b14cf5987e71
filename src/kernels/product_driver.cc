#include "kernels/product_driver.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/round_up.h"

namespace reprise {
namespace {

// Rows that one item of work takes of a tile. 192 rows of 1,536 bytes of x are 288 KiB: they stay
// in a core's L2 while the tiles pass by, and unpacking a tile is less than 2 % of its products.
constexpr int kRowsPerItem = 192;

// Below this many elements of x, one thread quantises them before the fork: sharing them would need
// a barrier, which costs as much (a few microseconds).
constexpr int64_t kSerialElements = 16 * 1024;

// Weight rows that the exact product expands at a time.
constexpr int kExactOutputs = 4;

// A last tile with fewer than 64 outputs goes through rows of scratch after the kernel's own.
constexpr size_t kThreadScratchBytes =
    kTileScratchBytes + sizeof(float) * kTileOutputs * kRowsPerItem;

void Grow(AlignedBytes& bytes, size_t size) {
  if (bytes.size() < size) bytes = AlignedBytes(size);
}

// As many rows to an item as are left to each when there are too few tiles for the threads.
int RowsPerItem(int rows, int64_t tiles, int threads) {
  int per_item = std::min(rows, kRowsPerItem);
  while (per_item > 32 && tiles * ((rows + per_item - 1) / per_item) < 24 * threads) {
    per_item = (per_item / 2 + 3) / 4 * 4;
  }
  return per_item;
}

}  // namespace

ProductDriver::ProductDriver(const ProductKernels& kernels, Compute compute, int threads)
    : kernels_(kernels),
      compute_(compute),
      threads_(threads),
      thread_scratch_(static_cast<size_t>(threads) * kThreadScratchBytes) {}

Result<std::unique_ptr<Matrix>> ProductDriver::Pack(const WeightView& weight) {
  Result<WeightBlock> block = WeightBlockOf(static_cast<uint32_t>(weight.type));
  if (!block) return std::unexpected(block.error());
  CHECK(weight.rows > 0 && weight.columns > 0 && weight.data != nullptr, "a matrix has elements");
  if (weight.columns % block->elements != 0) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("a {} matrix of {} columns: not a multiple of {}",
                            WeightTypeName(weight.type), weight.columns, block->elements));
  }
  if (compute_ == Compute::kExact) return std::make_unique<ExactMatrix>(weight);
  return std::make_unique<PackedMatrix>(weight, weight_memory_, threads_);
}

void ProductDriver::MatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                           std::span<float* const> ys) {
  CHECK(ws.size() == ys.size(), "one output for each matrix");
  if (rows == 0 || ws.empty()) return;
  for (const Matrix* w : ws) CHECK(w->columns() == ws[0]->columns(), "matrices share x");
  if (compute_ == Compute::kExact) {
    ExactMatMul(x, rows, ws, ys);
  } else {
    FastMatMul(x, rows, ws, ys);
  }
}

void ProductDriver::FastMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                               std::span<float* const> ys) {
  const int columns = static_cast<int>(ws[0]->columns());
  jobs_.clear();
  int64_t tiles = 0;
  bool quantized = false;
  bool bf16 = false;
  for (size_t i = 0; i < ws.size(); ++i) {
    const auto* matrix = static_cast<const PackedMatrix*>(ws[i]);
    (matrix->format().bits == 16 ? bf16 : quantized) = true;
    jobs_.push_back({matrix, ys[i], tiles});
    tiles += matrix->tiles();
  }
  PlaceActivations(rows, columns, quantized, bf16);
  const bool serial = static_cast<int64_t>(rows) * columns <= kSerialElements;
  if (serial) {
    for (int row = 0; row < rows; ++row) PrepareRow(x, columns, quantized, bf16, row);
  }

  const int per_item = RowsPerItem(rows, tiles, threads_);
  const int64_t runs = (rows + per_item - 1) / per_item;
  const int64_t items = runs * tiles;
  // Decode of a large matrix: several tiles an item keep the counter out of the way.
  const int64_t chunk = std::clamp<int64_t>(items / (16 * threads_), 1, 16);
#pragma omp parallel num_threads(threads_)
  {
    if (!serial) {
#pragma omp for schedule(static)
      for (int row = 0; row < rows; ++row) PrepareRow(x, columns, quantized, bf16, row);
    }
#pragma omp for schedule(dynamic, chunk) nowait
    for (int64_t item = 0; item < items; ++item) {
      const int first = static_cast<int>(item / tiles) * per_item;
      MultiplyTile(item % tiles, first, std::min(per_item, rows - first));
    }
  }
}

void ProductDriver::PlaceActivations(int rows, int columns, bool quantized, bool bf16) {
  const auto row_count = static_cast<size_t>(rows);
  const auto groups = static_cast<size_t>(columns / kActivationGroup);
  const size_t stride = RoundUp(static_cast<size_t>(columns), 64);
  const size_t q_bytes = quantized ? RoundUp(row_count * stride, 64) : 0;
  const size_t factor_bytes = quantized ? RoundUp(row_count * groups * sizeof(float), 64) : 0;
  const size_t bf16_bytes = bf16 ? row_count * stride * sizeof(uint16_t) : 0;
  Grow(activations_, q_bytes + 4 * factor_bytes + bf16_bytes);
  uint8_t* at = activations_.data();
  const auto take = [&at](size_t bytes) { return std::exchange(at, at + bytes); };
  quantized_ = {.q = reinterpret_cast<int8_t*>(take(q_bytes)),
                .scale = reinterpret_cast<float*>(take(factor_bytes)),
                .scaled_sum = reinterpret_cast<float*>(take(factor_bytes)),
                .half_sums = reinterpret_cast<int32_t*>(take(2 * factor_bytes)),
                .q_stride = static_cast<ptrdiff_t>(stride),
                .group_stride = static_cast<ptrdiff_t>(groups)};
  bf16_ = {.x = reinterpret_cast<uint16_t*>(take(bf16_bytes)),
           .stride = static_cast<ptrdiff_t>(stride)};
}

void ProductDriver::PrepareRow(const float* x, int columns, bool quantized, bool bf16, int row) {
  const float* const from = x + static_cast<ptrdiff_t>(row) * columns;
  if (quantized) kernels_.quantize_row(from, columns, quantized_, row);
  if (bf16) kernels_.round_row(from, columns, bf16_, row);
}

void ProductDriver::MultiplyTile(int64_t tile, int first_row, int rows) {
  const auto job = std::prev(
      std::upper_bound(jobs_.begin(), jobs_.end(), tile,
                       [](int64_t number, const Job& other) { return number < other.first_tile; }));
  const PackedMatrix& matrix = *job->matrix;
  const int64_t first_output = (tile - job->first_tile) * kTileOutputs;
  const int64_t outputs = std::min<int64_t>(kTileOutputs, matrix.rows() - first_output);
  uint8_t* const scratch =
      thread_scratch_.data() + static_cast<size_t>(omp_get_thread_num()) * kThreadScratchBytes;
  auto* const partial = reinterpret_cast<float*>(scratch + kTileScratchBytes);
  float* const y = job->y + first_row * matrix.rows() + first_output;
  const bool whole = outputs == kTileOutputs;
  const TileCall call = {.format = &matrix.format(),
                         .tile = matrix.tile(tile - job->first_tile),
                         .columns = matrix.columns(),
                         .quantized = &quantized_,
                         .bf16 = &bf16_,
                         .first_row = first_row,
                         .rows = rows,
                         .y = whole ? y : partial,
                         .y_stride = whole ? matrix.rows() : kTileOutputs,
                         .scratch = scratch};
  (matrix.format().bits == 16 ? kernels_.bf16_tile : kernels_.quantized_tile)(call);
  if (whole) return;
  for (int row = 0; row < rows; ++row) {
    std::copy_n(partial + row * kTileOutputs, outputs, y + row * matrix.rows());
  }
}

void ProductDriver::ExactMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                                std::span<float* const> ys) {
  const auto columns = static_cast<size_t>(ws[0]->columns());
  const size_t padded = RoundUp(columns, 16);
  const auto row_count = static_cast<size_t>(rows);
  const auto threads = static_cast<size_t>(threads_);
  Grow(activations_, sizeof(float) * padded * (row_count + threads * kExactOutputs));
  auto* const px = reinterpret_cast<float*>(activations_.data());
  std::memset(px, 0, sizeof(float) * padded * (row_count + threads * kExactOutputs));
  for (size_t row = 0; row < row_count; ++row) {
    std::copy_n(x + row * columns, columns, px + row * padded);
  }
  for (size_t i = 0; i < ws.size(); ++i) {
    const Matrix& w = *ws[i];
    const int64_t items = (w.rows() + kExactOutputs - 1) / kExactOutputs;
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads_)
    for (int64_t item = 0; item < items; ++item) {
      const auto thread = static_cast<size_t>(omp_get_thread_num());
      float* const expanded = px + padded * (row_count + thread * kExactOutputs);
      const int64_t first = item * kExactOutputs;
      const int outputs = static_cast<int>(std::min<int64_t>(kExactOutputs, w.rows() - first));
      for (int output = 0; output < outputs; ++output) {
        w.DequantizeRow(first + output, expanded + static_cast<size_t>(output) * padded);
      }
      kernels_.exact_rows(px, rows, static_cast<int>(padded), expanded, outputs, ys[i] + first,
                          w.rows());
    }
  }
}

}  // namespace reprise

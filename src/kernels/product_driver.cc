#include "kernels/product_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "base/check.h"
#include "base/round_up.h"
#include "kernels/fork.h"

namespace reprise {
namespace {

// From so many rows for each thread on, each has rows of its own, which stay in its core's caches
// from one operation to the next. Fewer are not worth reading the weights once a thread.
constexpr int kOwnRows = 64;

// Up to so many elements of x, one thread quantises them.
constexpr int64_t kSerialElements = 16 * 1024;

// Weight rows that the exact product expands at a time.
constexpr int kExactOutputs = 4;

int RowsPerItem(int rows, int64_t tiles, int threads) {
  int runs = rows < kOwnRows * threads ? 1 : threads;
  while ((rows + runs - 1) / runs > kRowsPerItem) runs *= 2;
  while (rows / runs > kHalvedAbove && tiles * runs < kItemsPerThread * threads) runs *= 2;
  return (rows + runs - 1) / runs;
}

}  // namespace

ProductDriver::ProductDriver(const ProductKernels& kernels, const ElementwiseKernels& elementwise,
                             Compute compute, ThreadPool& pool)
    : kernels_(kernels),
      elementwise_(elementwise),
      compute_(compute),
      pool_(pool),
      inputs_(kernels),
      gated_(kernels),
      tiles_(kernels, elementwise, pool.threads()) {}

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
  return std::make_unique<PackedMatrix>(weight, weight_memory_, pool_);
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

void ProductDriver::GatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y) {
  CheckGated(ws);
  if (rows == 0) return;
  if (compute_ == Compute::kExact) {
    ExactGatedMatMul(x, rows, ws, y);
  } else {
    FastGatedMatMul(x, rows, ws, y);
  }
}

// Runs of rows one after another, each with all tiles.
template <typename Multiply>
void ProductDriver::ForTiles(int64_t tiles, int rows, const Multiply& multiply) {
  const int rows_per_item = RowsPerItem(rows, tiles, pool_.threads());
  const int64_t items = (rows + rows_per_item - 1) / rows_per_item * tiles;
  pool_.Run(items, [&](int64_t item, int thread) {
    const int first_row = static_cast<int>(item / tiles) * rows_per_item;
    multiply(TileItem{item % tiles, first_row, std::min(rows_per_item, rows - first_row)}, thread);
  });
}

void ProductDriver::FastMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                               std::span<float* const> ys) {
  inputs_.Reserve(ws, rows);
  jobs_.clear();
  int64_t tiles = 0;
  for (size_t i = 0; i < ws.size(); ++i) tiles = AddJob(*ws[i], {}, ys[i]);
  PutRows(x, rows, static_cast<int>(ws[0]->columns()));
  MultiplyJobs(inputs_, tiles, rows);
}

// Gates and ups stay in each thread's L2.
void ProductDriver::FastGatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y) {
  const std::array<const Matrix*, 2> inner = {ws.up, ws.gate};
  inputs_.Reserve(std::span(inner).first(ws.gate == nullptr ? 1 : 2), rows);
  gated_.Reserve({&ws.down, 1}, rows);
  jobs_.clear();
  const int64_t tiles = AddJob(*ws.down, ws.down_bias, y);
  PutRows(x, rows, static_cast<int>(ws.up->columns()));
  ForTiles(Packed(*ws.up).tiles(), rows, [&](const TileItem& item, int thread) {
    tiles_.MultiplyGated(ws, item, inputs_, gated_, thread);
  });
  MultiplyJobs(gated_, tiles, rows);
}

int64_t ProductDriver::AddJob(const Matrix& w, std::span<const float> bias, float* y) {
  const int64_t first_tile =
      jobs_.empty() ? 0 : jobs_.back().first_tile + jobs_.back().matrix->tiles();
  jobs_.push_back({&Packed(w), bias, y, first_tile});
  return first_tile + Packed(w).tiles();
}

void ProductDriver::PutRows(const float* x, int rows, int columns) {
  ForEach(pool_, rows, 1, int64_t{rows} * columns > kSerialElements,
          [&](int64_t row) { inputs_.Put(x + row * columns, static_cast<int>(row), 0, columns); });
}

void ProductDriver::MultiplyJobs(const Activations& x, int64_t tiles, int rows) {
  ForTiles(tiles, rows, [&](TileItem item, int thread) {
    const auto job = std::prev(std::upper_bound(
        jobs_.begin(), jobs_.end(), item.tile,
        [](int64_t number, const Job& other) { return number < other.first_tile; }));
    item.tile -= job->first_tile;
    tiles_.Multiply(*job->matrix, item, x, job->bias, job->y, thread);
  });
}

void ProductDriver::ExactMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                                std::span<float* const> ys) {
  const auto columns = static_cast<size_t>(ws[0]->columns());
  const size_t padded = RoundUp(columns, 16);
  const auto row_count = static_cast<size_t>(rows);
  const auto threads = static_cast<size_t>(pool_.threads());
  exact_.Grow(sizeof(float) * padded * (row_count + threads * kExactOutputs));
  auto* const px = reinterpret_cast<float*>(exact_.data());
  std::memset(px, 0, sizeof(float) * padded * (row_count + threads * kExactOutputs));
  for (size_t row = 0; row < row_count; ++row) {
    std::copy_n(x + row * columns, columns, px + row * padded);
  }
  for (size_t i = 0; i < ws.size(); ++i) {
    const Matrix& w = *ws[i];
    const int64_t items = (w.rows() + kExactOutputs - 1) / kExactOutputs;
    pool_.Run(items, [&](int64_t item, int thread) {
      float* const expanded =
          px + padded * (row_count + static_cast<size_t>(thread) * kExactOutputs);
      const int64_t first = item * kExactOutputs;
      const int outputs = static_cast<int>(std::min<int64_t>(kExactOutputs, w.rows() - first));
      for (int output = 0; output < outputs; ++output) {
        w.DequantizeRow(first + output, expanded + static_cast<size_t>(output) * padded);
      }
      kernels_.exact_rows(px, rows, static_cast<int>(padded), expanded, outputs, ys[i] + first,
                          w.rows());
    });
  }
}

void ProductDriver::ExactGatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y) {
  const auto columns = static_cast<size_t>(ws.up->rows());
  const size_t count = static_cast<size_t>(rows) * columns;
  exact_gated_.Grow(2 * count * sizeof(float));
  auto* const ups = reinterpret_cast<float*>(exact_gated_.data());
  auto* const gates = ups + count;
  const std::array<const Matrix*, 2> inner = {ws.up, ws.gate};
  const std::array<float*, 2> inner_ys = {ups, gates};
  const size_t products = ws.gate == nullptr ? 1 : 2;
  ExactMatMul(x, rows, std::span(inner).first(products), std::span(inner_ys).first(products));
  for (size_t at = 0; at < count; at += columns) {
    ActivateGated(elementwise_, ws, 0, ws.up->rows(), gates + at, ups + at);
  }
  ExactMatMul(ws.gate == nullptr ? ups : gates, rows, {&ws.down, 1}, {&y, 1});
  for (int row = 0; row < rows && !ws.down_bias.empty(); ++row) {
    elementwise_.add(y + row * ws.down->rows(), ws.down_bias.data(), ws.down->rows());
  }
}

}  // namespace reprise

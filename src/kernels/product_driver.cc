#include "kernels/product_driver.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "base/check.h"
#include "base/round_up.h"

namespace reprise {
namespace {

// From so many rows for each thread on, each has rows of its own, which stay in its core's caches
// from one operation to the next. Fewer are not worth reading the weights once a thread.
constexpr int kOwnRows = 64;

// Up to so many elements of x, one thread quantises them before the fork: sharing them would need
// a barrier, which costs as much (a few microseconds).
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
                             Compute compute, int threads)
    : kernels_(kernels),
      elementwise_(elementwise),
      compute_(compute),
      threads_(threads),
      inputs_(kernels),
      gated_(kernels),
      tiles_(kernels, elementwise, threads),
      gated_items_(threads),
      items_(threads) {}

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

void ProductDriver::GatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y) {
  CheckGated(ws);
  if (rows == 0) return;
  if (compute_ == Compute::kExact) {
    ExactGatedMatMul(x, rows, ws, y);
  } else {
    FastGatedMatMul(x, rows, ws, y);
  }
}

void ProductDriver::Items::Deal(int64_t tiles, int rows) {
  tiles_ = tiles;
  rows_ = rows;
  rows_per_item_ = RowsPerItem(rows, tiles, threads_);
  share_.Reset((rows + rows_per_item_ - 1) / rows_per_item_ * tiles);
}

template <typename Body>
void ProductDriver::Items::Take(Body body) {
  share_.Take(omp_get_thread_num(), [&](int64_t index) {
    const int first_row = static_cast<int>(index / tiles_) * rows_per_item_;
    body(TileItem{index % tiles_, first_row, std::min(rows_per_item_, rows_ - first_row)});
  });
}

template <typename Multiply>
void ProductDriver::WithInputs(const float* x, int rows, int columns, Multiply multiply) {
  const bool serial = int64_t{rows} * columns <= kSerialElements;
  if (serial) PutRows(x, rows, columns);
#pragma omp parallel num_threads(threads_)
  {
    if (!serial) PutRows(x, rows, columns);
    multiply();
  }
}

void ProductDriver::FastMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                               std::span<float* const> ys) {
  inputs_.Reserve(ws, rows);
  jobs_.clear();
  int64_t tiles = 0;
  for (size_t i = 0; i < ws.size(); ++i) tiles = AddJob(*ws[i], {}, ys[i]);
  items_.Deal(tiles, rows);
  WithInputs(x, rows, static_cast<int>(ws[0]->columns()), [&] { MultiplyJobs(inputs_); });
}

// One team for all: gates and ups stay in each thread's L2, and a single row costs one fork and one
// barrier.
void ProductDriver::FastGatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y) {
  const std::array<const Matrix*, 2> inner = {ws.up, ws.gate};
  inputs_.Reserve(std::span(inner).first(ws.gate == nullptr ? 1 : 2), rows);
  gated_.Reserve({&ws.down, 1}, rows);
  gated_items_.Deal(Packed(*ws.up).tiles(), rows);
  jobs_.clear();
  items_.Deal(AddJob(*ws.down, ws.down_bias, y), rows);
  WithInputs(x, rows, static_cast<int>(ws.up->columns()), [&] {
    gated_items_.Take(
        [&](const TileItem& item) { tiles_.MultiplyGated(ws, item, inputs_, gated_); });
#pragma omp barrier
    MultiplyJobs(gated_);
  });
}

int64_t ProductDriver::AddJob(const Matrix& w, std::span<const float> bias, float* y) {
  const int64_t first_tile =
      jobs_.empty() ? 0 : jobs_.back().first_tile + jobs_.back().matrix->tiles();
  jobs_.push_back({&Packed(w), bias, y, first_tile});
  return first_tile + Packed(w).tiles();
}

void ProductDriver::PutRows(const float* x, int rows, int columns) {
#pragma omp for schedule(static)
  for (int row = 0; row < rows; ++row) {
    inputs_.Put(x + static_cast<ptrdiff_t>(row) * columns, row, 0, columns);
  }
}

void ProductDriver::MultiplyJobs(const Activations& x) {
  items_.Take([&](TileItem item) {
    const auto job = std::prev(std::upper_bound(
        jobs_.begin(), jobs_.end(), item.tile,
        [](int64_t number, const Job& other) { return number < other.first_tile; }));
    item.tile -= job->first_tile;
    tiles_.Multiply(*job->matrix, item, x, job->bias, job->y);
  });
}

void ProductDriver::ExactMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                                std::span<float* const> ys) {
  const auto columns = static_cast<size_t>(ws[0]->columns());
  const size_t padded = RoundUp(columns, 16);
  const auto row_count = static_cast<size_t>(rows);
  const auto threads = static_cast<size_t>(threads_);
  exact_.Grow(sizeof(float) * padded * (row_count + threads * kExactOutputs));
  auto* const px = reinterpret_cast<float*>(exact_.data());
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

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

// Rows that one item of work takes of a tile. 192 rows of 1,536 bytes of x are 288 KiB: they stay
// in a core's L2 while the tiles pass by, and unpacking a tile is less than 2 % of its products.
constexpr int kRowsPerItem = 192;

// From so many rows for each thread on, each has rows of its own, which stay in its core's caches
// from one operation to the next. Fewer are not worth reading the weights once a thread.
constexpr int kOwnRows = 64;

// Where there are too few tiles to share out evenly, longer runs of rows are halved.
constexpr int kHalvedAbove = 32;

// Up to so many elements of x, one thread quantises them before the fork: sharing them would need
// a barrier, which costs as much (a few microseconds).
constexpr int64_t kSerialElements = 16 * 1024;

// Weight rows that the exact product expands at a time.
constexpr int kExactOutputs = 4;

// After the kernel's own scratch lie two tiles of results: gate and up, or in the first a last tile
// with fewer than 64 outputs.
constexpr size_t kResults = size_t{kTileOutputs} * kRowsPerItem;
constexpr size_t kThreadScratchBytes = kTileScratchBytes + 2 * kResults * sizeof(float);

int RowsPerItem(int rows, int64_t tiles, int threads) {
  int runs = rows < kOwnRows * threads ? 1 : threads;
  while ((rows + runs - 1) / runs > kRowsPerItem) runs *= 2;
  while (rows / runs > kHalvedAbove && tiles * runs < 24 * threads) runs *= 2;
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
      thread_scratch_(static_cast<size_t>(threads) * kThreadScratchBytes),
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
  CHECK(ws.gate->columns() == ws.up->columns() && ws.gate->rows() == ws.up->rows() &&
            ws.down->columns() == ws.gate->rows(),
        "gate, up and down fit each other");
  for (const std::span<const float> bias : {ws.gate_bias, ws.up_bias}) {
    CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == ws.gate->rows(),
          "a bias for each output");
  }
  if (rows == 0) return;
  if (compute_ == Compute::kExact) {
    ExactGatedMatMul(x, rows, ws, y);
  } else {
    FastGatedMatMul(x, rows, ws, y);
  }
}

void ProductDriver::ExpertsMatMul(const float* x, int rows, std::span<const GatedMatrices> experts,
                                  std::span<const ExpertChoice> choices, float* y) {
  if (rows == 0) return;
  CHECK(!experts.empty() && choices.size() % static_cast<size_t>(rows) == 0,
        "each row chooses as many experts");
  const size_t chosen = choices.size() / static_cast<size_t>(rows);
  const auto columns = static_cast<size_t>(experts[0].up->columns());
  const auto outputs = static_cast<size_t>(experts[0].down->rows());
  std::vector<std::vector<size_t>> of_expert(experts.size());  // choices by expert
  for (size_t i = 0; i < choices.size(); ++i) {
    of_expert[static_cast<size_t>(choices[i].expert)].push_back(i);
  }
  std::vector<float> gathered(choices.size() * columns);
  std::vector<float> results(choices.size() * outputs);
  std::vector<size_t> place(choices.size());
  size_t next = 0;
  for (size_t e = 0; e < experts.size(); ++e) {
    const size_t first = next;
    for (const size_t choice : of_expert[e]) {
      std::copy_n(x + choice / chosen * columns, columns, gathered.data() + next * columns);
      place[choice] = next++;
    }
    GatedMatMul(gathered.data() + first * columns, static_cast<int>(next - first), experts[e],
                results.data() + first * outputs);
  }
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    float* to = y + row * outputs;
    std::fill_n(to, outputs, 0.0F);
    for (size_t j = row * chosen; j < (row + 1) * chosen; ++j) {
      const float* from = results.data() + place[j] * outputs;
      for (size_t n = 0; n < outputs; ++n) to[n] += choices[j].weight * from[n];
    }
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
    body(Item{index % tiles_, first_row, std::min(rows_per_item_, rows_ - first_row)});
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
  items_.Deal(ListJobs(ws, ys), rows);
  WithInputs(x, rows, static_cast<int>(ws[0]->columns()), [&] { MultiplyJobs(inputs_); });
}

// One team for all: gates and ups stay in each thread's L2, and a single row costs one fork and one
// barrier.
void ProductDriver::FastGatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y) {
  const std::array<const Matrix*, 2> inner = {ws.gate, ws.up};
  const std::array<const Matrix*, 1> outer = {ws.down};
  const std::array<float*, 1> ys = {y};
  inputs_.Reserve(inner, rows);
  gated_.Reserve(outer, rows);
  gated_items_.Deal(Packed(*ws.gate).tiles(), rows);
  items_.Deal(ListJobs(outer, ys), rows);
  WithInputs(x, rows, static_cast<int>(ws.gate->columns()), [&] {
    MultiplyGated(ws);
#pragma omp barrier
    MultiplyJobs(gated_);
  });
}

int64_t ProductDriver::ListJobs(std::span<const Matrix* const> ws, std::span<float* const> ys) {
  jobs_.clear();
  int64_t tiles = 0;
  for (size_t i = 0; i < ws.size(); ++i) {
    jobs_.push_back({&Packed(*ws[i]), ys[i], tiles});
    tiles += jobs_.back().matrix->tiles();
  }
  return tiles;
}

void ProductDriver::PutRows(const float* x, int rows, int columns) {
#pragma omp for schedule(static)
  for (int row = 0; row < rows; ++row) {
    inputs_.Put(x + static_cast<ptrdiff_t>(row) * columns, row, 0, columns);
  }
}

void ProductDriver::MultiplyGated(const GatedMatrices& ws) {
  const PackedMatrix& gate = Packed(*ws.gate);
  const PackedMatrix& up = Packed(*ws.up);
  float* const gates = ThreadResults();
  float* const ups = gates + kResults;
  gated_items_.Take([&](const Item& item) {
    MultiplyTile(gate, item, inputs_, gates, kTileOutputs);
    MultiplyTile(up, item, inputs_, ups, kTileOutputs);
    const int64_t first = item.tile * kTileOutputs;
    const int64_t outputs = std::min<int64_t>(kTileOutputs, gate.rows() - first);
    for (int row = 0; row < item.rows; ++row) {
      float* const gate_row = gates + row * kTileOutputs;
      Activate(ws, first, outputs, gate_row, ups + row * kTileOutputs);
      gated_.Put(gate_row, item.first_row + row, static_cast<int>(first),
                 static_cast<int>(outputs));
    }
  });
}

void ProductDriver::MultiplyJobs(const Activations& x) {
  float* const partial = ThreadResults();
  items_.Take([&](Item item) {
    const auto job = std::prev(std::upper_bound(
        jobs_.begin(), jobs_.end(), item.tile,
        [](int64_t number, const Job& other) { return number < other.first_tile; }));
    const PackedMatrix& matrix = *job->matrix;
    item.tile -= job->first_tile;
    const int64_t first = item.tile * kTileOutputs;
    const int64_t outputs = std::min<int64_t>(kTileOutputs, matrix.rows() - first);
    float* const y = job->y + item.first_row * matrix.rows() + first;
    if (outputs == kTileOutputs) return MultiplyTile(matrix, item, x, y, matrix.rows());
    MultiplyTile(matrix, item, x, partial, kTileOutputs);
    for (int row = 0; row < item.rows; ++row) {
      std::copy_n(partial + row * kTileOutputs, outputs, y + row * matrix.rows());
    }
  });
}

void ProductDriver::MultiplyTile(const PackedMatrix& matrix, const Item& item, const Activations& x,
                                 float* y, ptrdiff_t y_stride) {
  const TileCall call = {.format = &matrix.format(),
                         .tile = matrix.tile(item.tile),
                         .columns = matrix.columns(),
                         .quantized = &x.quantized(),
                         .bf16 = &x.bf16(),
                         .first_row = item.first_row,
                         .rows = item.rows,
                         .y = y,
                         .y_stride = y_stride,
                         .scratch = ThreadScratch()};
  (matrix.format().bits == 16 ? kernels_.bf16_tile : kernels_.quantized_tile)(call);
}

void ProductDriver::Activate(const GatedMatrices& ws, int64_t first, int64_t count, float* gate,
                             float* up) const {
  if (!ws.gate_bias.empty()) elementwise_.add(gate, ws.gate_bias.data() + first, count);
  if (!ws.up_bias.empty()) elementwise_.add(up, ws.up_bias.data() + first, count);
  elementwise_.swiglu(gate, up, count);
}

uint8_t* ProductDriver::ThreadScratch() {
  return thread_scratch_.data() + static_cast<size_t>(omp_get_thread_num()) * kThreadScratchBytes;
}

float* ProductDriver::ThreadResults() {
  return reinterpret_cast<float*>(ThreadScratch() + kTileScratchBytes);
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
  const auto columns = static_cast<size_t>(ws.gate->rows());
  const size_t count = static_cast<size_t>(rows) * columns;
  exact_gated_.Grow(2 * count * sizeof(float));
  auto* const gates = reinterpret_cast<float*>(exact_gated_.data());
  float* const ups = gates + count;
  const std::array<const Matrix*, 2> inner = {ws.gate, ws.up};
  const std::array<float*, 2> inner_ys = {gates, ups};
  ExactMatMul(x, rows, inner, inner_ys);
  for (size_t at = 0; at < count; at += columns) {
    Activate(ws, 0, ws.gate->rows(), gates + at, ups + at);
  }
  const std::array<const Matrix*, 1> outer = {ws.down};
  const std::array<float*, 1> ys = {y};
  ExactMatMul(gates, rows, outer, ys);
}

}  // namespace reprise

#include "kernels/experts_driver.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kernels/fork.h"

namespace reprise {
namespace {

// Up to so many elements of x, copies counted, one thread puts them.
constexpr int64_t kSerialCopies = 32 * 1024;

// Outputs that one thread adds up at once.
constexpr int64_t kSumColumns = 512;

int PiecesOf(int rows, int longest) { return (rows + longest - 1) / longest; }

}  // namespace

ExpertsDriver::ExpertsDriver(const ProductKernels& kernels, const ElementwiseKernels& elementwise,
                             Compute compute, ThreadPool& pool, ProductDriver& product)
    : compute_(compute),
      pool_(pool),
      product_(product),
      inputs_(kernels),
      gated_(kernels),
      tiles_(kernels, elementwise, pool.threads()) {}

void ExpertsDriver::MatMul(const float* x, int rows, std::span<const GatedMatrices> experts,
                           std::span<const ExpertChoice> choices, float* y) {
  if (rows == 0) return;
  CHECK(!choices.empty() && choices.size() % static_cast<size_t>(rows) == 0,
        "each row chooses as many experts");
  const Choices of_rows = {choices, rows, static_cast<int>(choices.size()) / rows};
  SortByExpert(of_rows, experts);
  results_.Grow(choices.size() * static_cast<size_t>(experts[0].down->rows()) * sizeof(float));
  if (compute_ == Compute::kExact) {
    ExactMatMul(x, of_rows, y);
  } else {
    FastMatMul(x, of_rows, y);
  }
}

void ExpertsDriver::SortByExpert(const Choices& choices, std::span<const GatedMatrices> experts) {
  next_place_.assign(experts.size(), 0);
  for (const ExpertChoice& choice : choices.list) {
    CHECK(choice.expert >= 0 && static_cast<size_t>(choice.expert) < experts.size(),
          "a choice is one of the experts");
    ++next_place_[static_cast<size_t>(choice.expert)];
  }
  chosen_.clear();
  int first = 0;
  for (size_t e = 0; e < experts.size(); ++e) {
    const int rows = std::exchange(next_place_[e], first);
    if (rows == 0) continue;
    const GatedMatrices& ws = experts[e];
    CheckGated(ws);
    CHECK(ws.up->columns() == experts[0].up->columns() && ws.up->rows() == experts[0].up->rows() &&
              ws.down->rows() == experts[0].down->rows(),
          "experts have equal shapes");
    chosen_.push_back({&ws, first, rows});
    first += rows;
  }
  places_.clear();
  for (const ExpertChoice& choice : choices.list) {
    places_.push_back(next_place_[static_cast<size_t>(choice.expert)]++);
  }
}

void ExpertsDriver::CutRuns(int64_t tiles) {
  const auto items = [&](int longest) {
    int64_t pieces = 0;
    for (const Run& run : chosen_) pieces += PiecesOf(run.rows, longest);
    return pieces * tiles;
  };
  int longest = kRowsPerItem;
  while (longest > kHalvedAbove && items(longest) < int64_t{kItemsPerThread} * pool_.threads()) {
    longest /= 2;
  }
  pieces_.clear();
  for (const Run& run : chosen_) {
    const int pieces = PiecesOf(run.rows, longest);
    for (int i = 0; i < pieces; ++i) {
      const int begin = run.rows * i / pieces;
      const int end = run.rows * (i + 1) / pieces;
      pieces_.push_back({run.ws, run.first + begin, end - begin});
    }
  }
}

template <typename Multiply>
void ExpertsDriver::ForTiles(int64_t tiles, const Multiply& multiply) {
  CutRuns(tiles);
  pool_.Run(static_cast<int64_t>(pieces_.size()) * tiles, [&](int64_t item, int thread) {
    const Run& run = pieces_[static_cast<size_t>(item / tiles)];
    multiply(*run.ws, TileItem{item % tiles, run.first, run.rows}, thread);
  });
}

void ExpertsDriver::FastMatMul(const float* x, const Choices& choices, float* y) {
  inner_.clear();
  outer_.clear();
  for (const Run& run : chosen_) {
    inner_.push_back(run.ws->up);
    if (run.ws->gate != nullptr) inner_.push_back(run.ws->gate);
    outer_.push_back(run.ws->down);
  }
  const auto places = static_cast<int>(choices.list.size());
  inputs_.Reserve(inner_, places);
  gated_.Reserve(outer_, places);
  const auto columns = static_cast<int>(inner_[0]->columns());
  ForEach(pool_, choices.rows, 1, int64_t{places} * columns > kSerialCopies,
          [&](int64_t row) { PutRow(x, choices, static_cast<int>(row), columns); });
  ForTiles(Packed(*inner_[0]).tiles(),
           [&](const GatedMatrices& ws, const TileItem& item, int thread) {
             tiles_.MultiplyGated(ws, item, inputs_, gated_, thread);
           });
  auto* const results = reinterpret_cast<float*>(results_.data());
  ForTiles(Packed(*outer_[0]).tiles(),
           [&](const GatedMatrices& ws, const TileItem& item, int thread) {
             tiles_.Multiply(Packed(*ws.down), item, gated_, ws.down_bias, results, thread);
           });
  const int64_t outputs = outer_[0]->rows();
  const int64_t slices = (outputs + kSumColumns - 1) / kSumColumns;
  pool_.Run(choices.rows * slices, [&](int64_t item, int) {
    const int64_t first = item % slices * kSumColumns;
    AddUp(choices, static_cast<int>(item / slices), outputs, first,
          std::min(kSumColumns, outputs - first), y);
  });
}

void ExpertsDriver::PutRow(const float* x, const Choices& choices, int row, int columns) {
  const auto* const places = places_.data() + ptrdiff_t{row} * choices.for_each_row;
  inputs_.Put(x + ptrdiff_t{row} * columns, places[0], 0, columns);
  for (int j = 1; j < choices.for_each_row; ++j) inputs_.CopyRow(places[0], places[j]);
}

void ExpertsDriver::AddUp(const Choices& choices, int row, int64_t columns, int64_t first,
                          int64_t count, float* y) const {
  const auto* const results = reinterpret_cast<const float*>(results_.data());
  float* const to = y + row * columns + first;
  std::fill_n(to, count, 0.0F);
  for (int j = 0; j < choices.for_each_row; ++j) {
    const auto choice = static_cast<size_t>(row) * static_cast<size_t>(choices.for_each_row) +
                        static_cast<size_t>(j);
    const float weight = choices.list[choice].weight;
    const float* const from = results + places_[choice] * columns + first;
    for (int64_t n = 0; n < count; ++n) to[n] += weight * from[n];
  }
}

void ExpertsDriver::ExactMatMul(const float* x, const Choices& choices, float* y) {
  const GatedMatrices& any = *chosen_[0].ws;
  const int64_t columns = any.up->columns();
  const int64_t outputs = any.down->rows();
  gathered_.Grow(choices.list.size() * static_cast<size_t>(columns) * sizeof(float));
  auto* const gathered = reinterpret_cast<float*>(gathered_.data());
  for (size_t choice = 0; choice < choices.list.size(); ++choice) {
    const auto row = static_cast<int64_t>(choice) / choices.for_each_row;
    std::copy_n(x + row * columns, columns, gathered + places_[choice] * columns);
  }
  auto* const results = reinterpret_cast<float*>(results_.data());
  for (const Run& run : chosen_) {
    product_.GatedMatMul(gathered + run.first * columns, run.rows, *run.ws,
                         results + run.first * outputs);
  }
  for (int row = 0; row < choices.rows; ++row) AddUp(choices, row, outputs, 0, outputs, y);
}

}  // namespace reprise

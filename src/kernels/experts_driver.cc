#include "kernels/experts_driver.h"

#include <omp.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace reprise {
namespace {

// Up to so many elements of x, copies counted, one thread puts them before the fork: sharing them
// would need a barrier more.
constexpr int64_t kSerialCopies = 32 * 1024;

// Outputs that one thread adds up at once.
constexpr int64_t kSumColumns = 512;

int PiecesOf(int rows, int longest) { return (rows + longest - 1) / longest; }

}  // namespace

ExpertsDriver::ExpertsDriver(const ProductKernels& kernels, const ElementwiseKernels& elementwise,
                             Compute compute, int threads, ProductDriver& product)
    : compute_(compute),
      threads_(threads),
      product_(product),
      inputs_(kernels),
      gated_(kernels),
      tiles_(kernels, elementwise, threads),
      gated_items_(threads),
      items_(threads) {}

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

void ExpertsDriver::Items::Deal(std::span<const Run> chosen, int64_t tiles) {
  const auto items = [&](int longest) {
    int64_t pieces = 0;
    for (const Run& run : chosen) pieces += PiecesOf(run.rows, longest);
    return pieces * tiles;
  };
  int longest = kRowsPerItem;
  while (longest > kHalvedAbove && items(longest) < int64_t{kItemsPerThread} * threads_) {
    longest /= 2;
  }
  runs_.clear();
  for (const Run& run : chosen) {
    const int pieces = PiecesOf(run.rows, longest);
    for (int i = 0; i < pieces; ++i) {
      const int begin = run.rows * i / pieces;
      const int end = run.rows * (i + 1) / pieces;
      runs_.push_back({run.ws, run.first + begin, end - begin});
    }
  }
  tiles_ = tiles;
  share_.Reset(static_cast<int64_t>(runs_.size()) * tiles);
}

template <typename Body>
void ExpertsDriver::Items::Take(Body body) {
  share_.Take(omp_get_thread_num(), [&](int64_t index) {
    const Run& run = runs_[static_cast<size_t>(index / tiles_)];
    body(*run.ws, TileItem{index % tiles_, run.first, run.rows});
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
  gated_items_.Deal(chosen_, Packed(*inner_[0]).tiles());
  items_.Deal(chosen_, Packed(*outer_[0]).tiles());
  const auto columns = static_cast<int>(inner_[0]->columns());
  const int64_t outputs = outer_[0]->rows();
  auto* const results = reinterpret_cast<float*>(results_.data());
  const int64_t slices = (outputs + kSumColumns - 1) / kSumColumns;
  const bool serial = int64_t{places} * columns <= kSerialCopies;
  for (int row = 0; serial && row < choices.rows; ++row) PutRow(x, choices, row, columns);
#pragma omp parallel num_threads(threads_)
  {
    if (!serial) {
#pragma omp for schedule(static)
      for (int row = 0; row < choices.rows; ++row) PutRow(x, choices, row, columns);
    }
    gated_items_.Take([&](const GatedMatrices& ws, const TileItem& item) {
      tiles_.MultiplyGated(ws, item, inputs_, gated_);
    });
#pragma omp barrier
    items_.Take([&](const GatedMatrices& ws, const TileItem& item) {
      tiles_.Multiply(Packed(*ws.down), item, gated_, ws.down_bias, results);
    });
#pragma omp barrier
#pragma omp for schedule(static) nowait
    for (int64_t i = 0; i < choices.rows * slices; ++i) {
      const int64_t first = i % slices * kSumColumns;
      AddUp(choices, static_cast<int>(i / slices), outputs, first,
            std::min(kSumColumns, outputs - first), y);
    }
  }
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

#include "kernels/elementwise.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/fork.h"
#include "kernels/tanh_plain.h"

namespace reprise {
namespace {

// Elements that one thread takes at once from a flat array: 16 KiB, whole vectors of any kind.
constexpr int64_t kSliceElements = 4096;

// A page is computed whole: 64 positions x 32 frequencies take about 0.1 ms, once.
constexpr int kPagePositions = 64;

bool SameTable(const RopeTable& a, const RopeTable& b) {
  return a.pairing == b.pairing && a.attention_factor == b.attention_factor &&
         a.inverse_frequencies == b.inverse_frequencies;
}

// Lane i adds of(x[c]) for the columns c ≡ i mod 8 in ascending order, then the lanes come
// together.
template <typename Of>
double SumInLanes(const float* x, int columns, Of of) {
  double lanes[8] = {};
  int c = 0;
  for (; c + 8 <= columns; c += 8) {
    for (int i = 0; i < 8; ++i) lanes[i] += of(static_cast<double>(x[c + i]));
  }
  for (int i = 0; c + i < columns; ++i) lanes[i] += of(static_cast<double>(x[c + i]));
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// In doubles up to the scaled distance from the mean: a mean far larger than the deviations costs
// no precision.
void LayerNormRow(const float* x, int columns, const float* weight, const float* bias,
                  float epsilon, float* out) {
  const double mean = SumInLanes(x, columns, [](double value) { return value; }) / columns;
  const double squares =
      SumInLanes(x, columns, [mean](double value) { return (value - mean) * (value - mean); });
  const double inverse = 1.0 / std::sqrt(squares / columns + static_cast<double>(epsilon));
  for (int c = 0; c < columns; ++c) {
    out[c] = static_cast<float>((static_cast<double>(x[c]) - mean) * inverse) * weight[c];
  }
  if (bias == nullptr) return;
  for (int c = 0; c < columns; ++c) out[c] += bias[c];
}

}  // namespace

RopeAngles RopeCache::Lookup(const RopeTable& table, std::span<const int> positions) {
  auto found = std::find_if(tables_.begin(), tables_.end(),
                            [&](const Angles& angles) { return SameTable(angles.table, table); });
  if (found == tables_.end()) {
    if (tables_.size() == kTables) tables_.pop_back();
    found = tables_.insert(tables_.end(), {table, {}});
  }
  std::rotate(tables_.begin(), found, found + 1);
  Angles& angles = tables_.front();
  rows_.clear();
  for (const int position : positions) rows_.push_back(Row(angles, position));
  return {angles.table.pairing, static_cast<int>(angles.table.inverse_frequencies.size()),
          rows_.data()};
}

const float* RopeCache::Row(Angles& angles, int position) {
  CHECK(position >= 0, "positions count from 0");
  const RopeTable& table = angles.table;
  const size_t half = table.inverse_frequencies.size();
  const size_t page = static_cast<size_t>(position / kPagePositions);
  if (page >= angles.pages.size()) angles.pages.resize(page + 1);
  std::unique_ptr<float[]>& rows = angles.pages[page];
  if (rows == nullptr) {
    rows = std::make_unique<float[]>(static_cast<size_t>(kPagePositions) * 2 * half);
    float* row = rows.get();
    for (int i = 0; i < kPagePositions; ++i, row += 2 * half) {
      const double at = static_cast<double>(page) * kPagePositions + i;
      for (size_t f = 0; f < half; ++f) {
        const double angle = at * static_cast<double>(table.inverse_frequencies[f]);
        const double factor = static_cast<double>(table.attention_factor);
        row[f] = static_cast<float>(std::cos(angle) * factor);
        row[half + f] = static_cast<float>(std::sin(angle) * factor);
      }
    }
  }
  return rows.get() + static_cast<size_t>(position % kPagePositions) * 2 * half;
}

void RmsNorm(ThreadPool& pool, const ElementwiseKernels& kernels, const float* x, int rows,
             int columns, const float* weight, float epsilon, float* out) {
  ForEach(pool, rows, 1, int64_t{rows} * columns >= kForkFrom, [=, &kernels](int64_t r) {
    kernels.norm_row(x + r * columns, columns, weight, epsilon, out + r * columns);
  });
}

void LayerNorm(ThreadPool& pool, const float* x, int rows, int columns, const float* weight,
               const float* bias, float epsilon, float* out) {
  ForEach(pool, rows, 1, int64_t{rows} * columns >= kForkFrom, [=](int64_t r) {
    LayerNormRow(x + r * columns, columns, weight, bias, epsilon, out + r * columns);
  });
}

void Scale(ThreadPool& pool, float* x, float factor, size_t size) {
  const auto count = static_cast<int64_t>(size);
  ForEach(pool, count, kSliceElements, count >= kForkFrom, [=](int64_t first) {
    const int64_t end = std::min(count, first + kSliceElements);
    for (int64_t i = first; i < end; ++i) x[i] *= factor;
  });
}

void SoftCap(ThreadPool& pool, float* x, float cap, size_t size) {
  const auto count = static_cast<int64_t>(size);
  // An element takes as long as ten of a sum.
  ForEach(pool, count, kSliceElements, 10 * count >= kForkFrom, [=](int64_t first) {
    const int64_t end = std::min(count, first + kSliceElements);
    for (int64_t i = first; i < end; ++i) x[i] = cap * TanhPlain(x[i] / cap);
  });
}

void Rope(ThreadPool& pool, const ElementwiseKernels& kernels, float* x, int rows, int heads,
          int head_dim, const RopeAngles& angles) {
  const auto rotate =
      angles.pairing == RopePairing::kAdjacent ? kernels.rotate_adjacent : kernels.rotate_halves;
  ForEach(pool, rows, 1, int64_t{rows} * heads * head_dim >= kForkFrom, [=, &angles](int64_t r) {
    for (int h = 0; h < heads; ++h) {
      rotate(x + (r * heads + h) * head_dim, angles.rows[r], angles.half);
    }
  });
}

void Add(ThreadPool& pool, const ElementwiseKernels& kernels, float* x, const float* y,
         size_t size) {
  const auto count = static_cast<int64_t>(size);
  ForEach(pool, count, kSliceElements, count >= kForkFrom, [=, &kernels](int64_t i) {
    kernels.add(x + i, y + i, std::min(count - i, kSliceElements));
  });
}

}  // namespace reprise

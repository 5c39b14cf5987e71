#include "kernels/elementwise.h"

#include <cmath>

#include "base/check.h"

namespace reprise {
namespace {

// A page is computed whole: 64 positions x 32 frequencies take about 0.1 ms, once.
constexpr int kPagePositions = 64;

bool SameTable(const RopeTable& a, const RopeTable& b) {
  return a.pairing == b.pairing && a.attention_factor == b.attention_factor &&
         a.inverse_frequencies == b.inverse_frequencies;
}

}  // namespace

RopeAngles RopeCache::Lookup(const RopeTable& table, std::span<const int> positions) {
  if (!SameTable(table, table_)) {
    table_ = table;
    pages_.clear();
  }
  rows_.clear();
  for (const int position : positions) rows_.push_back(Row(position));
  return {table_.pairing, static_cast<int>(table_.inverse_frequencies.size()), rows_.data()};
}

const float* RopeCache::Row(int position) {
  CHECK(position >= 0, "positions count from 0");
  const size_t half = table_.inverse_frequencies.size();
  const size_t page = static_cast<size_t>(position / kPagePositions);
  if (page >= pages_.size()) pages_.resize(page + 1);
  if (pages_[page] == nullptr) {
    pages_[page] = std::make_unique<float[]>(static_cast<size_t>(kPagePositions) * 2 * half);
    float* row = pages_[page].get();
    for (int i = 0; i < kPagePositions; ++i, row += 2 * half) {
      const double at = static_cast<double>(page) * kPagePositions + i;
      for (size_t f = 0; f < half; ++f) {
        const double angle = at * static_cast<double>(table_.inverse_frequencies[f]);
        const double factor = static_cast<double>(table_.attention_factor);
        row[f] = static_cast<float>(std::cos(angle) * factor);
        row[half + f] = static_cast<float>(std::sin(angle) * factor);
      }
    }
  }
  return pages_[page].get() + static_cast<size_t>(position % kPagePositions) * 2 * half;
}

}  // namespace reprise

#pragma once

// Rows of a batch that are computed together, with their places in their sequences. In the last
// layer those whose logits nobody wants end once their K and V are stored; by the exactness of
// Operations this changes no bit of the others.

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/operations.h"

namespace reprise {

// x[count, features]
struct RowSet {
  int count = 0;
  std::vector<int> positions;           // [count]
  std::vector<SequenceSpan> sequences;  // cover the rows in order

  void Clear();
  void Append(const SequenceSpan& sequence, int first, int rows);  // `first` counts within it
};

// The rows that go into a layer, and those of them that come out.
struct LayerRows {
  const RowSet& all;
  const RowSet& wanted;
  std::span<const int> kept;  // rows of `all` that are `wanted`, ascending, where these are fewer

  bool trimmed() const { return wanted.count < all.count; }
};

inline size_t ElementCount(int rows, int columns) {
  return static_cast<size_t>(rows) * static_cast<size_t>(columns);
}

// to[kept.size(), columns] = the rows `kept` (ascending) of x[rows, columns]. `to` may be x.
void TakeRows(const float* x, int columns, std::span<const int> kept, float* to);

}  // namespace reprise

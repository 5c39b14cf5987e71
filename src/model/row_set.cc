#include "model/row_set.h"

#include <cstring>

namespace reprise {

void RowSet::Clear() {
  count = 0;
  positions.clear();
  sequences.clear();
}

void RowSet::Append(const SequenceSpan& sequence, int first, int rows) {
  const int first_position = sequence.first_position + first;
  SequenceSpan span = sequence;
  span.first_row = count;
  span.rows = rows;
  span.first_position = first_position;
  sequences.push_back(span);
  for (int i = 0; i < rows; ++i) positions.push_back(first_position + i);
  count += rows;
}

void TakeRows(const float* x, int columns, std::span<const int> kept, float* to) {
  for (size_t i = 0; i < kept.size(); ++i) {
    std::memmove(to + i * static_cast<size_t>(columns), x + ElementCount(kept[i], columns),
                 static_cast<size_t>(columns) * sizeof(float));
  }
}

}  // namespace reprise

#pragma once

// The queries of a tile as attention_rows.h reads them. Included by files compiled for one
// instruction set, each of which has its own copy.

#include <cstdint>

#include "kernels/attention_tile.h"
#include "kernels/quantize_query.h"

namespace reprise {
namespace {

// q = scale * value. The values in quads (dimensions 4d .. 4d+3 in one word) follow this head:
// [rows / n][quads][n] words, the last group with as many rows as are left, so that the quads that
// n rows multiply by one quad of K lie side by side. n: the kernel's.
struct Queries {
  float scales[kMaxTileRows];
  // -128 * the sum of the row's values: what is too much in products with K's bytes, which are 128
  // more than its values.
  int32_t starts[kMaxTileRows];

  uint32_t* quads() { return reinterpret_cast<uint32_t*>(this + 1); }
  const uint32_t* quads() const { return reinterpret_cast<const uint32_t*>(this + 1); }
};
static_assert(sizeof(Queries) == 8 * kMaxTileRows);

// AttentionKernel::query_row_bytes: a quad may be padded by 3 bytes.
constexpr size_t kQueryRowBytes = 3 + 8;

inline int Quads(const AttentionTile& tile) { return (tile.key_dim + 3) / 4; }

// AttentionKernel::load_queries; kGroup is the n of Queries.
template <typename Floats, int kGroup>
void LoadQueries(const AttentionTile& tile, const float* q, size_t token_stride,
                 std::byte* queries) {
  auto* const to = reinterpret_cast<Queries*>(queries);
  const int quads = Quads(tile);
  for (int row = 0; row < tile.rows; ++row) {
    const int first = row / kGroup * kGroup;
    const int rows = tile.rows - first < kGroup ? tile.rows - first : kGroup;
    const float* from = q + static_cast<size_t>(row / tile.group) * token_stride +
                        static_cast<size_t>(row % tile.group) * static_cast<size_t>(tile.key_dim);
    QuantizeQuery<Floats>(from, tile.key_dim, to->quads() + first * quads + (row - first), rows,
                          &to->scales[row], &to->starts[row]);
  }
}

}  // namespace
}  // namespace reprise

#pragma once

// Between the scheduling of attention (attention.cc, portable, forks) and its arithmetic (one
// AttentionKernel per instruction set, forks nothing). Internal to this folder.
//
// A tile is the unit of arithmetic: some consecutive tokens of one sequence by the query heads that
// read one KV head (all of them, or for one token some: kMaxTileRows). Its rows are token-major:
// row r is token r / group, head r % group of the group. This header is included by files compiled
// for one instruction set: plain structs, and functions of which each such file has its own.

#include <cstddef>

#include "kernels/attention.h"

namespace reprise {

struct AttentionTile {
  int rows = 0;            // tokens * group, at most kMaxTileRows
  int group = 1;           // query heads of this KV head
  int first_position = 0;  // row r is at first_position + r / group
  int window = 0;          // as in AttentionSpec
  int key_dim = 0;
  int value_dim = 0;
  int block_tokens = 0;
  float scale = 1.0F;
  float soft_cap = 0;        // as in AttentionSpec
  float state_scale = 1.0F;  // by which a state's maximum becomes a logit
  std::byte* const* blocks = nullptr;
  size_t k_offset = 0;  // of this layer and KV head within a block
  size_t v_offset = 0;
  size_t key_scales_offset = 0;        // from a head's K on; KvEncoding::kFast
  const std::byte* queries = nullptr;  // as AttentionKernel::load_queries wrote them
};

// Unnormalised results of a tile's rows, over one partition or over several. Scores are q · k
// before scaling; with a soft cap, the capped ones, with state_scale 1.
struct AttentionState {
  float* maximum = nullptr;  // [rows] of the scores
  float* sum = nullptr;      // [rows] of exp(state_scale * (score - maximum))
  float* out = nullptr;      // [rows, value_dim] weighted by the same
};

struct AttentionKernel {
  // Of a tile's queries: for each of kMaxTileRows rows key_dim elements, and these bytes more.
  size_t query_element_bytes;
  size_t query_row_bytes;

  // Brings q into the order and element that `attend` reads; row r of the tile lies at
  // q + (r / group) * token_stride + (r % group) * key_dim.
  void (*load_queries)(const AttentionTile& tile, const float* q, size_t token_stride,
                       std::byte* queries);

  // part = the tile's rows over the keys of one partition. Rows that see none of them (Sees) get
  // meaningless results or none, which `combine` passes over.
  void (*attend)(const AttentionTile& tile, int partition, const AttentionState& part);

  // total = total and part together, for the rows that see `partition`. To be called in ascending
  // order of partitions, from maximum -inf, sum 0, out 0; or, for a row with a sink, from the sink
  // as a score, 1, 0: a key of its own without a value.
  void (*combine)(const AttentionTile& tile, int partition, const AttentionState& part,
                  const AttentionState& total);
};

// Query rows of a tile: while they pass over a partition its K and V (98 KiB at head_dim 64, 194
// KiB at 128) are read from L2, so that memory is read once per 96 rows; their q, part and total
// (96 x 64 x (1 + 4 + 4) bytes = 54 KiB) lie in L2 as well. A multiple of the 12 rows that the
// AVX-512 kernel keeps in registers.
inline constexpr int kMaxTileRows = 96;

// The first position that a row at `position` sees.
static inline int WindowBegin(int window, int position) {
  return window == 0 || position < window ? 0 : position - window + 1;
}

static inline int PositionOf(const AttentionTile& tile, int row) {
  return tile.first_position + row / tile.group;
}

// Whether a row sees a key of the partition.
static inline bool Sees(const AttentionTile& tile, int row, int partition) {
  const int position = PositionOf(tile, row);
  return position / kPartitionTokens >= partition &&
         WindowBegin(tile.window, position) / kPartitionTokens <= partition;
}

// Keys of one partition that some rows of a tile see: positions start .. start + count - 1, of
// which the first begins a block. Those before any row's window are passed over by whole blocks,
// so that the work is the window's; this changes no bit, because what a key of probability 0 adds
// to sums that are still +0 leaves them +0.
struct KeySpan {
  int start;
  int count;  // ≤ 0: no row sees a key
};

static inline KeySpan KeysSeen(const AttentionTile& tile, int partition, int first_row, int rows) {
  const int begin = partition * kPartitionTokens;
  const int window_begin = WindowBegin(tile.window, PositionOf(tile, first_row));
  const int start =
      window_begin > begin ? window_begin / tile.block_tokens * tile.block_tokens : begin;
  const int after = PositionOf(tile, first_row + rows - 1) + 1;
  const int end = begin + kPartitionTokens;
  return {start, (after < end ? after : end) - start};
}

// Of a KeySpan, a row sees the keys from `begin` on and before `end`, counted from its start.
struct SeenKeys {
  int begin;
  int end;
};

static inline SeenKeys SeenBy(const AttentionTile& tile, int row, const KeySpan& keys) {
  const int position = PositionOf(tile, row);
  const int begin = WindowBegin(tile.window, position) - keys.start;
  const int end = position + 1 - keys.start;
  const auto within = [&](int key) { return key < 0 ? 0 : (key < keys.count ? key : keys.count); };
  return {within(begin), within(end)};
}

// attention.cc: splits the call into tiles and runs the kernel over them.
void RunAttention(const AttentionKernel& kernel, const AttentionCall& call,
                  AttentionScratch& scratch);

}  // namespace reprise

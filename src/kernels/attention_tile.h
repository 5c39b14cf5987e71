#pragma once

// Between the scheduling of attention (attention.cc, portable, forks) and its arithmetic (one
// AttentionKernel per instruction set, forks nothing). Internal to this folder.
//
// A tile is the unit of arithmetic: some consecutive tokens of one sequence by the query heads that
// read one KV head. Its rows are token-major: row r is token r / group, head r % group of the
// group. This header is included by files compiled for one instruction set: plain structs only.

#include <cstddef>

namespace reprise {

struct AttentionCall;
class AttentionScratch;

struct AttentionTile {
  int rows = 0;            // tokens * group, at most kMaxTileRows
  int group = 1;           // query heads of this KV head
  int first_position = 0;  // row r is at first_position + r / group
  int head_dim = 0;
  int block_tokens = 0;
  float scale = 1.0F;
  std::byte* const* blocks = nullptr;
  size_t k_offset = 0;  // of this layer and KV head within a block
  size_t v_offset = 0;
  size_t key_scales_offset = 0;        // from a head's K on; KvEncoding::kFast
  const std::byte* queries = nullptr;  // as AttentionKernel::load_queries wrote them
};

// Unnormalised results of a tile's rows, over one partition or over several.
struct AttentionState {
  float* maximum = nullptr;  // [rows] of the scores q · k, before scaling
  float* sum = nullptr;      // [rows] of exp(scale * (score - maximum))
  float* out = nullptr;      // [rows, head_dim] weighted by the same
};

struct AttentionKernel {
  // Of a tile's queries: for each of kMaxTileRows rows head_dim elements, and these bytes more.
  size_t query_element_bytes;
  size_t query_row_bytes;

  // Brings q into the order and element that `attend` reads; row r of the tile lies at
  // q + (r / group) * token_stride + (r % group) * head_dim.
  void (*load_queries)(const AttentionTile& tile, const float* q, size_t token_stride,
                       std::byte* queries);

  // part = the tile's rows over the keys of one partition. Rows positioned before the partition get
  // meaningless (finite) results, which `combine` passes over.
  void (*attend)(const AttentionTile& tile, int partition, const AttentionState& part);

  // total = total and part together, for the rows that see `partition`. To be called in ascending
  // order of partitions, from maximum -inf, sum 0, out 0.
  void (*combine)(const AttentionTile& tile, int partition, const AttentionState& part,
                  const AttentionState& total);
};

// Query rows of a tile: while they pass over a partition its K and V (98 KiB at head_dim 64, 194
// KiB at 128) are read from L2, so that memory is read once per 96 rows; their q, part and total
// (96 x 64 x (1 + 4 + 4) bytes = 54 KiB) lie in L2 as well. A multiple of the 12 rows that the
// AVX-512 kernel keeps in registers.
inline constexpr int kMaxTileRows = 96;

// attention.cc: splits the call into tiles and runs the kernel over them.
void RunAttention(const AttentionKernel& kernel, const AttentionCall& call,
                  AttentionScratch& scratch);

}  // namespace reprise

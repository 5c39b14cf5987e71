#pragma once

// What a call of attention is made of before any of it is computed: tiles of query rows, runs of
// sequences whose common prefix is one tile for all, and the items of work that threads take.
// Internal to this folder; attention.cc carries it out. Nothing here may change a bit of a result.
//
// A plan borrows its call. Any thread.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_tile.h"

namespace reprise {

struct PartitionRange {
  int begin = 0;
  int end = 0;

  int size() const { return end > begin ? end - begin : 0; }
  bool Contains(int partition) const { return partition >= begin && partition < end; }
};

struct TilePlan {
  AttentionTile tile;
  size_t first_row = 0;       // row of the batch of the tile's first token
  int first_head = 0;         // query head of the tile's first row
  PartitionRange partitions;  // from the first row's window to the last row's position
  bool split = false;
  size_t partials = 0;    // split: where its own partitions' states begin, in bytes
  size_t countdown = 0;   // split: index of the count of partitions still to come
  PartitionRange shared;  // those that a SharedPlan computes
  size_t shared_plan = 0;
  int shared_row = 0;  // of its first row among the SharedPlan's

  // Which of its own states (those that no SharedPlan computes) is that of `partition`.
  int OwnState(int partition) const {
    return partition - partitions.begin - (partition < shared.end ? 0 : shared.size());
  }
};

// Tiles of one KV head and one token each, of sequences that follow one another in the batch and
// have the same blocks in `partitions`, which all of them see whole: there they are one tile, so
// that K and V of a common prefix are read once.
struct SharedPlan {
  AttentionTile tile;
  size_t first_row = 0;
  int first_head = 0;
  size_t first_tile = 0;  // the tiles are first_tile, first_tile + kv_heads, …
  int tiles = 0;
  PartitionRange partitions;
  size_t partials = 0;  // where the states of its partitions begin
};

struct AttentionItem {
  bool is_shared = false;
  size_t plan = 0;    // index of a SharedPlan or a TilePlan
  int partition = 0;  // of a shared or split one
  int64_t cost = 0;
};

struct AttentionPlan {
  std::vector<TilePlan> tiles;
  std::vector<SharedPlan> shared;
  std::vector<AttentionItem> items;  // the dearest first
  bool forks = false;                // otherwise no tile is split
  size_t partial_bytes = 0;          // of the states of split and shared partitions
  size_t split_tiles = 0;
};

// CHECKs what AttentionCall requires.
AttentionPlan PlanAttention(const AttentionCall& call, int threads);

// The bytes of an AttentionState of so many rows.
size_t StateBytes(int rows, int value_dim);

}  // namespace reprise

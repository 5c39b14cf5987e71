// Scheduling of attention: which tiles there are, who computes them, in which order their
// partitions come together. Nothing here may change a bit of the result.

#include "kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "base/check.h"
#include "kernels/attention_tile.h"

namespace reprise {
namespace {

// Estimated work below which a call stays on one thread: about 8 us of it, several times what
// waking the other threads costs. See Cost().
constexpr int64_t kForkCost = 300'000;

// A tile with more than 1 / (kShares * threads) of a call's work is shared out by partitions.
constexpr int kShares = 4;

struct TilePlan {
  AttentionTile tile;
  size_t first_row = 0;  // row of the batch of the tile's first token
  int kv_head = 0;
  int partitions = 0;  // up to the last row's position
  bool split = false;
  size_t partials = 0;  // split: index of the first of `partitions` states
};

struct Item {
  int tile = 0;
  int partition = 0;  // of a split tile
  int64_t cost = 0;
};

// Sizes of the pieces of scratch, in bytes, each a multiple of 64.
struct ScratchShape {
  size_t queries = 0;
  size_t state = 0;  // maximum, sum and out of a whole tile
  size_t rows = 0;   // of a whole tile

  size_t thread_bytes() const { return queries + 2 * state; }
};

constexpr size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Reading the keys costs about as much as 8 rows of arithmetic.
int64_t Cost(const AttentionTile& tile, int64_t keys) {
  return keys * (tile.rows + 8) * tile.head_dim;
}

int KeysSeen(const AttentionTile& tile) {
  return tile.first_position + (tile.rows - 1) / tile.group + 1;
}

AttentionState StateAt(std::byte* memory, const ScratchShape& shape) {
  AttentionState state;
  state.maximum = reinterpret_cast<float*>(memory);
  state.sum = state.maximum + shape.rows;
  state.out = state.sum + shape.rows;
  return state;
}

void Clear(const AttentionTile& tile, const AttentionState& state) {
  std::fill_n(state.maximum, tile.rows, -std::numeric_limits<float>::infinity());
  std::fill_n(state.sum, tile.rows, 0.0F);
  std::fill_n(state.out, static_cast<size_t>(tile.rows) * static_cast<size_t>(tile.head_dim), 0.0F);
}

class Run {
 public:
  Run(const AttentionKernel& kernel, const AttentionCall& call)
      : kernel_(kernel),
        call_(call),
        head_dim_(static_cast<size_t>(call.layout.head_dim)),
        token_stride_(static_cast<size_t>(call.heads) * head_dim_) {
    const KvLayout& layout = call.layout;
    CHECK(layout.block_tokens >= 16 && kPartitionTokens % layout.block_tokens == 0,
          "a partition is a whole number of blocks of at least 16 tokens");
    CHECK(layout.head_dim > 0 && layout.head_dim % 2 == 0, "head_dim is even");
    CHECK(layout.kv_heads > 0 && call.heads % layout.kv_heads == 0,
          "each KV head is read by the same number of query heads");
    CHECK(call.heads / layout.kv_heads <= kMaxTileRows, "a group of query heads fits one tile");
    CHECK(call.scale > 0.0F, "the largest score is the largest scaled score");
    threads_ = omp_get_max_threads();
    PlanTiles();
    PlanItems();
  }

  void Execute(AttentionScratch& scratch) {
    ScratchShape shape;
    shape.rows = static_cast<size_t>(kMaxTileRows);
    shape.queries = RoundUp(shape.rows * head_dim_ * kernel_.query_element_bytes);
    shape.state = RoundUp(shape.rows * (head_dim_ + 2) * sizeof(float));
    const size_t thread_bytes = shape.thread_bytes();
    const size_t threads = total_cost_ > kForkCost ? static_cast<size_t>(threads_) : 1;
    std::byte* memory = scratch.Reserve(threads * thread_bytes + partial_states_ * shape.state);
    std::byte* partials = memory + threads * thread_bytes;
    const int item_count = static_cast<int>(items_.size());
    const int tile_count = static_cast<int>(tiles_.size());

    if (threads == 1) {  // no tile is split then
      for (const Item& item : items_) RunItem(item, shape, memory, partials);
      return;
    }
#pragma omp parallel num_threads(static_cast <int>(threads))
    {
      std::byte* own = memory + static_cast<size_t>(omp_get_thread_num()) * thread_bytes;
#pragma omp for schedule(dynamic, 1)
      for (int i = 0; i < item_count; ++i)
        RunItem(items_[static_cast<size_t>(i)], shape, own, partials);
#pragma omp for schedule(static)
      for (int t = 0; t < tile_count; ++t) {
        const TilePlan& plan = tiles_[static_cast<size_t>(t)];
        if (plan.split) CombinePartials(plan, shape, own, partials);
      }
    }
  }

 private:
  void PlanTiles() {
    const KvLayout& layout = call_.layout;
    const int group = call_.heads / layout.kv_heads;
    const int tile_tokens = std::max(1, kMaxTileRows / group);
    for (const SequenceSpan& sequence : call_.sequences) {
      if (sequence.rows == 0) continue;
      const int last = sequence.first_position + sequence.rows - 1;
      CHECK(sequence.blocks.size() > static_cast<size_t>(last / layout.block_tokens),
            "blocks exist up to the last position");
      for (int head = 0; head < layout.kv_heads; ++head) {
        for (int token = 0; token < sequence.rows; token += tile_tokens) {
          TilePlan plan;
          plan.first_row = static_cast<size_t>(sequence.first_row + token);
          plan.kv_head = head;
          plan.tile.rows = std::min(tile_tokens, sequence.rows - token) * group;
          plan.tile.group = group;
          plan.tile.first_position = sequence.first_position + token;
          plan.tile.head_dim = layout.head_dim;
          plan.tile.block_tokens = layout.block_tokens;
          plan.tile.scale = call_.scale;
          plan.tile.blocks = sequence.blocks.data();
          plan.tile.k_offset = layout.k_offset(call_.layer, head);
          plan.tile.v_offset = layout.v_offset(call_.layer, head);
          plan.partitions = (KeysSeen(plan.tile) + kPartitionTokens - 1) / kPartitionTokens;
          tiles_.push_back(plan);
          total_cost_ += Cost(plan.tile, KeysSeen(plan.tile));
        }
      }
    }
  }

  void PlanItems() {
    const int64_t share = total_cost_ / (kShares * threads_);
    for (size_t t = 0; t < tiles_.size(); ++t) {
      TilePlan& plan = tiles_[t];
      const int64_t cost = Cost(plan.tile, KeysSeen(plan.tile));
      plan.split = threads_ > 1 && total_cost_ > kForkCost && plan.partitions > 1 && cost > share;
      if (!plan.split) {
        items_.push_back({static_cast<int>(t), 0, cost});
        continue;
      }
      plan.partials = partial_states_;
      partial_states_ += static_cast<size_t>(plan.partitions);
      for (int p = 0; p < plan.partitions; ++p) {
        const int keys = std::min(kPartitionTokens, KeysSeen(plan.tile) - p * kPartitionTokens);
        items_.push_back({static_cast<int>(t), p, Cost(plan.tile, keys)});
      }
    }
    // The dearest first, so that the threads end together.
    std::stable_sort(items_.begin(), items_.end(),
                     [](const Item& a, const Item& b) { return a.cost > b.cost; });
  }

  size_t FirstElement(const TilePlan& plan) const {
    return plan.first_row * token_stride_ +
           static_cast<size_t>(plan.kv_head * plan.tile.group) * head_dim_;
  }

  void RunItem(const Item& item, const ScratchShape& shape, std::byte* own,
               std::byte* partials) const {
    const TilePlan& plan = tiles_[static_cast<size_t>(item.tile)];
    AttentionTile tile = plan.tile;
    kernel_.load_queries(tile, call_.q + FirstElement(plan), token_stride_, own);
    tile.queries = own;
    if (plan.split) {
      const size_t index = plan.partials + static_cast<size_t>(item.partition);
      kernel_.attend(tile, item.partition, StateAt(partials + index * shape.state, shape));
      return;
    }
    const AttentionState part = StateAt(own + shape.queries, shape);
    const AttentionState total = StateAt(own + shape.queries + shape.state, shape);
    Clear(tile, total);
    for (int p = 0; p < plan.partitions; ++p) {
      kernel_.attend(tile, p, part);
      kernel_.combine(tile, p, part, total);
    }
    Finish(plan, total);
  }

  void CombinePartials(const TilePlan& plan, const ScratchShape& shape, std::byte* own,
                       std::byte* partials) const {
    const AttentionState total = StateAt(own + shape.queries + shape.state, shape);
    Clear(plan.tile, total);
    for (int p = 0; p < plan.partitions; ++p) {
      const size_t index = plan.partials + static_cast<size_t>(p);
      kernel_.combine(plan.tile, p, StateAt(partials + index * shape.state, shape), total);
    }
    Finish(plan, total);
  }

  void Finish(const TilePlan& plan, const AttentionState& total) const {
    float* out = call_.out + FirstElement(plan);
    for (int r = 0; r < plan.tile.rows; ++r) {
      const float inverse = 1.0F / total.sum[r];
      const float* from = total.out + static_cast<size_t>(r) * head_dim_;
      float* to = out + static_cast<size_t>(r / plan.tile.group) * token_stride_ +
                  static_cast<size_t>(r % plan.tile.group) * head_dim_;
      for (size_t d = 0; d < head_dim_; ++d) to[d] = from[d] * inverse;
    }
  }

  const AttentionKernel& kernel_;
  const AttentionCall& call_;
  size_t head_dim_;
  size_t token_stride_;
  int threads_ = 1;
  std::vector<TilePlan> tiles_;
  std::vector<Item> items_;
  int64_t total_cost_ = 0;
  size_t partial_states_ = 0;
};

}  // namespace

AttentionScratch::~AttentionScratch() { std::free(data_); }

std::byte* AttentionScratch::Reserve(size_t bytes) {
  if (bytes <= bytes_) return data_;
  std::free(data_);
  bytes_ = RoundUp(bytes);
  data_ = static_cast<std::byte*>(std::aligned_alloc(64, bytes_));
  CHECK(data_ != nullptr, "attention's scratch, a few MiB, can be allocated");
  return data_;
}

void RunAttention(const AttentionKernel& kernel, const AttentionCall& call,
                  AttentionScratch& scratch) {
  Run(kernel, call).Execute(scratch);
}

}  // namespace reprise

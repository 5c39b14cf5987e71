// Scheduling of attention: which tiles there are, who computes them, in which order their
// partitions come together. Nothing here may change a bit of the result.

#include "kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/round_up.h"
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
  size_t partials = 0;   // split: where its own partitions' states begin, in bytes from partials_
  size_t countdown = 0;  // split: index of the count of partitions still to come
  int shared = 0;        // leading partitions that a SharedPlan computes
  size_t shared_plan = 0;
  int shared_row = 0;  // of its first row among the SharedPlan's
};

// Tiles of one KV head and one token each, of sequences that follow one another in the batch and
// begin with the same blocks: over the partitions that all of them see whole they are one tile, so
// that K and V of a common prefix are read once.
struct SharedPlan {
  AttentionTile tile;
  size_t first_row = 0;
  int kv_head = 0;
  size_t first_tile = 0;  // the tiles are first_tile, first_tile + kv_heads, …
  int tiles = 0;
  int partitions = 0;
  size_t partials = 0;  // where the states of its partitions begin
};

struct Item {
  bool is_shared = false;
  size_t plan = 0;    // index of a SharedPlan or a TilePlan
  int partition = 0;  // of a shared or split one
  int64_t cost = 0;
};

// Reading the keys costs about as much as 8 rows of arithmetic.
int64_t Cost(const AttentionTile& tile, int64_t keys) {
  return keys * (tile.rows + 8) * tile.head_dim;
}

int KeysSeen(const AttentionTile& tile) {
  return tile.first_position + (tile.rows - 1) / tile.group + 1;
}

// Leading partitions that both rows see whole and that lie in the same blocks.
int SharedPartitions(const SequenceSpan& a, const SequenceSpan& b, int block_tokens) {
  const int most = (std::min(a.first_position, b.first_position) + 1) / kPartitionTokens;
  const auto blocks = static_cast<size_t>(most * kPartitionTokens / block_tokens);
  const auto difference =
      std::mismatch(a.blocks.begin(), a.blocks.begin() + blocks, b.blocks.begin());
  return static_cast<int>(difference.first - a.blocks.begin()) * block_tokens / kPartitionTokens;
}

// A state of `rows` rows in memory, and its size.
size_t StateBytes(int rows, size_t head_dim) {
  return RoundUp(static_cast<size_t>(rows) * (head_dim + 2) * sizeof(float), 64);
}

AttentionState StateAt(std::byte* memory, int rows) {
  AttentionState state;
  state.maximum = reinterpret_cast<float*>(memory);
  state.sum = state.maximum + rows;
  state.out = state.sum + rows;
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
        head_dim_(static_cast<size_t>(call.layout.key_dim)),
        token_stride_(static_cast<size_t>(call.spec.heads) * head_dim_) {
    const KvLayout& layout = call.layout;
    CHECK(layout.block_tokens >= 16 && kPartitionTokens % layout.block_tokens == 0,
          "a partition is a whole number of blocks of at least 16 tokens");
    CHECK(layout.key_dim > 0 && layout.key_dim % 2 == 0, "key_dim is even");
    CHECK(layout.value_dim == layout.key_dim, "heads of K and V are equally wide");
    CHECK(layout.kv_heads > 0 && call.spec.heads % layout.kv_heads == 0,
          "each KV head is read by the same number of query heads");
    CHECK(call.spec.heads / layout.kv_heads <= kMaxTileRows,
          "a group of query heads fits one tile");
    CHECK(call.spec.scale > 0.0F, "the largest score is the largest scaled score");
    threads_ = omp_get_max_threads();
    PlanTiles();
    if (total_cost_ > kForkCost) PlanShared();
    PlanItems();
  }

  void Execute(AttentionScratch& scratch) {
    const size_t threads = total_cost_ > kForkCost ? static_cast<size_t>(threads_) : 1;
    std::byte* memory = scratch.Reserve(threads * own_bytes() + partial_bytes_);
    partials_ = memory + threads * own_bytes();
    if (threads == 1) {  // no tile is split then
      for (const Item& item : items_) RunItem(item, memory);
      return;
    }
    const int item_count = static_cast<int>(items_.size());
#pragma omp parallel num_threads(static_cast <int>(threads))
    {
      std::byte* own = memory + static_cast<size_t>(omp_get_thread_num()) * own_bytes();
#pragma omp for schedule(dynamic, 1) nowait
      for (int i = 0; i < item_count; ++i) RunItem(items_[static_cast<size_t>(i)], own);
    }
  }

 private:
  void PlanTiles() {
    const KvLayout& layout = call_.layout;
    const int group = call_.spec.heads / layout.kv_heads;
    const int tile_tokens = std::max(1, kMaxTileRows / group);
    for (const SequenceSpan& sequence : call_.sequences) {
      first_tiles_.push_back(tiles_.size());
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
          plan.tile.head_dim = layout.key_dim;
          plan.tile.block_tokens = layout.block_tokens;
          plan.tile.scale = call_.spec.scale;
          plan.tile.blocks = sequence.blocks.data();
          plan.tile.k_offset = layout.k_offset(call_.layer, head);
          plan.tile.v_offset = layout.v_offset(call_.layer, head);
          plan.tile.key_scales_offset = layout.key_scales_offset();
          plan.partitions = (KeysSeen(plan.tile) + kPartitionTokens - 1) / kPartitionTokens;
          tiles_.push_back(plan);
          total_cost_ += Cost(plan.tile, KeysSeen(plan.tile));
        }
      }
    }
  }

  // Runs of decoding sequences with a common prefix. One that shares less than half of what the run
  // shares would cost the others more than it gains: it begins a new run.
  void PlanShared() {
    const KvLayout& layout = call_.layout;
    const int group = call_.spec.heads / layout.kv_heads;
    const auto most = static_cast<size_t>(kMaxTileRows / group);
    const std::span<const SequenceSpan> sequences = call_.sequences;
    for (size_t first = 0, end = 0; first < sequences.size(); first = end) {
      end = first + 1;
      int partitions = 0;
      for (; end < sequences.size() && end - first < most; ++end) {
        const SequenceSpan& next = sequences[end];
        if (sequences[first].rows != 1 || next.rows != 1 ||
            next.first_row != sequences[end - 1].first_row + 1) {
          break;
        }
        const int common = SharedPartitions(sequences[first], next, layout.block_tokens);
        if (common == 0 || 2 * common < partitions) break;
        partitions = partitions == 0 ? common : std::min(partitions, common);
      }
      if (end - first > 1) ShareRun(first, static_cast<int>(end - first), partitions);
    }
  }

  void ShareRun(size_t first_sequence, int sequences, int partitions) {
    for (int head = 0; head < call_.layout.kv_heads; ++head) {
      SharedPlan shared;
      shared.first_tile = first_tiles_[first_sequence] + static_cast<size_t>(head);
      const TilePlan& first = tiles_[shared.first_tile];
      shared.tile = first.tile;
      shared.tile.rows = sequences * first.tile.group;
      shared.tile.first_position = partitions * kPartitionTokens - 1;  // every row sees it all
      shared.first_row = first.first_row;
      shared.kv_head = head;
      shared.tiles = sequences;
      shared.partitions = partitions;
      shared.partials = TakePartials(partitions, shared.tile.rows);
      for (int i = 0; i < sequences; ++i) {
        TilePlan& member = Member(shared, i);
        member.shared = partitions;
        member.shared_plan = shared_.size();
        member.shared_row = i * member.tile.group;
      }
      shared_.push_back(shared);
    }
  }

  TilePlan& Member(const SharedPlan& shared, int index) {
    return tiles_[shared.first_tile + static_cast<size_t>(index * call_.layout.kv_heads)];
  }

  // Room for the states of so many partitions; returns where it begins.
  size_t TakePartials(int partitions, int rows) {
    const size_t begin = partial_bytes_;
    partial_bytes_ += static_cast<size_t>(partitions) * StateBytes(rows, head_dim_);
    return begin;
  }

  void PlanItems() {
    const int64_t share = total_cost_ / (kShares * threads_);
    for (size_t t = 0; t < tiles_.size(); ++t) {
      TilePlan& plan = tiles_[t];
      const int64_t cost = Cost(plan.tile, KeysSeen(plan.tile));
      plan.split = plan.shared > 0 ||
                   (threads_ > 1 && total_cost_ > kForkCost && plan.partitions > 1 && cost > share);
      if (!plan.split) {
        items_.push_back({false, t, 0, cost});
        continue;
      }
      plan.partials = TakePartials(plan.partitions - plan.shared, plan.tile.rows);
      plan.countdown = split_tiles_++;
      for (int p = plan.shared; p < plan.partitions; ++p) {
        const int keys = std::min(kPartitionTokens, KeysSeen(plan.tile) - p * kPartitionTokens);
        items_.push_back({false, t, p, Cost(plan.tile, keys)});
      }
    }
    for (size_t s = 0; s < shared_.size(); ++s) {
      const int64_t cost = Cost(shared_[s].tile, kPartitionTokens);
      for (int p = 0; p < shared_[s].partitions; ++p) items_.push_back({true, s, p, cost});
    }
    countdowns_ = std::vector<std::atomic<int>>(split_tiles_);
    for (const TilePlan& plan : tiles_) {
      if (plan.split) countdowns_[plan.countdown].store(plan.partitions, std::memory_order_relaxed);
    }
    // The dearest first, so that the threads end together.
    std::stable_sort(items_.begin(), items_.end(),
                     [](const Item& a, const Item& b) { return a.cost > b.cost; });
  }

  template <typename Plan>
  size_t FirstElement(const Plan& plan) const {
    return plan.first_row * token_stride_ +
           static_cast<size_t>(plan.kv_head * plan.tile.group) * head_dim_;
  }

  // A thread's own memory: a tile's queries, one partition's state, the state of those so far.
  size_t query_bytes() const {
    return RoundUp(static_cast<size_t>(kMaxTileRows) *
                       (head_dim_ * kernel_.query_element_bytes + kernel_.query_row_bytes),
                   64);
  }
  size_t own_bytes() const { return query_bytes() + 2 * StateBytes(kMaxTileRows, head_dim_); }
  AttentionState Part(std::byte* own) const { return StateAt(own + query_bytes(), kMaxTileRows); }
  AttentionState Total(std::byte* own) const {
    return StateAt(own + query_bytes() + StateBytes(kMaxTileRows, head_dim_), kMaxTileRows);
  }

  AttentionState PartialAt(size_t partials, int index, int rows) const {
    return StateAt(partials_ + partials + static_cast<size_t>(index) * StateBytes(rows, head_dim_),
                   rows);
  }

  AttentionState Partial(const TilePlan& plan, int partition) const {
    if (partition >= plan.shared) {
      return PartialAt(plan.partials, partition - plan.shared, plan.tile.rows);
    }
    const SharedPlan& shared = shared_[plan.shared_plan];
    AttentionState state = PartialAt(shared.partials, partition, shared.tile.rows);
    state.maximum += plan.shared_row;
    state.sum += plan.shared_row;
    state.out += static_cast<size_t>(plan.shared_row) * head_dim_;
    return state;
  }

  void RunItem(const Item& item, std::byte* own) {
    if (item.is_shared) {
      RunShared(shared_[item.plan], item.partition, own);
      return;
    }
    const TilePlan& plan = tiles_[item.plan];
    AttentionTile tile = plan.tile;
    kernel_.load_queries(tile, call_.q + FirstElement(plan), token_stride_, own);
    tile.queries = own;
    if (plan.split) {
      kernel_.attend(tile, item.partition, Partial(plan, item.partition));
      CountDown(plan, own);
      return;
    }
    const AttentionState total = Total(own);
    Clear(tile, total);
    for (int p = 0; p < plan.partitions; ++p) {
      kernel_.attend(tile, p, Part(own));
      kernel_.combine(tile, p, Part(own), total);
    }
    Finish(plan, total);
  }

  void RunShared(const SharedPlan& shared, int partition, std::byte* own) {
    AttentionTile tile = shared.tile;
    kernel_.load_queries(tile, call_.q + FirstElement(shared), token_stride_, own);
    tile.queries = own;
    kernel_.attend(tile, partition, PartialAt(shared.partials, partition, tile.rows));
    for (int i = 0; i < shared.tiles; ++i) CountDown(Member(shared, i), own);
  }

  // One partition more is there. Who ends last combines, which saves a barrier; the order of
  // combining is fixed all the same.
  void CountDown(const TilePlan& plan, std::byte* own) {
    const bool last = countdowns_[plan.countdown].fetch_sub(1, std::memory_order_acq_rel) == 1;
    if (last) CombinePartials(plan, Total(own));
  }

  void CombinePartials(const TilePlan& plan, const AttentionState& total) const {
    Clear(plan.tile, total);
    for (int p = 0; p < plan.partitions; ++p) {
      kernel_.combine(plan.tile, p, Partial(plan, p), total);
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
  std::vector<size_t> first_tiles_;  // of each sequence
  std::vector<SharedPlan> shared_;
  std::vector<Item> items_;
  int64_t total_cost_ = 0;
  size_t partial_bytes_ = 0;
  size_t split_tiles_ = 0;
  std::vector<std::atomic<int>> countdowns_;
  std::byte* partials_ = nullptr;
};

}  // namespace

AttentionScratch::~AttentionScratch() { std::free(data_); }

std::byte* AttentionScratch::Reserve(size_t bytes) {
  if (bytes <= bytes_) return data_;
  std::free(data_);
  bytes_ = RoundUp(bytes, 64);
  data_ = static_cast<std::byte*>(std::aligned_alloc(64, bytes_));
  CHECK(data_ != nullptr, "attention's scratch, a few MiB, can be allocated");
  return data_;
}

void RunAttention(const AttentionKernel& kernel, const AttentionCall& call,
                  AttentionScratch& scratch) {
  Run(kernel, call).Execute(scratch);
}

}  // namespace reprise

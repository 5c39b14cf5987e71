#include "kernels/attention_plan.h"

#include <algorithm>

#include "base/check.h"
#include "base/round_up.h"

namespace reprise {
namespace {

// Estimated work below which a call stays on one thread: about 8 us of it, several times what
// waking the other threads costs. See Cost().
constexpr int64_t kForkCost = 300'000;

// A tile with more than 1 / (kShares * threads) of a call's work is shared out by partitions.
constexpr int kShares = 4;

// Reading the keys costs about as much as 8 rows of arithmetic.
int64_t Cost(const AttentionTile& tile, int64_t keys) {
  return keys * (tile.rows + 8) * ((tile.key_dim + tile.value_dim) / 2);
}

int LastPosition(const AttentionTile& tile) { return PositionOf(tile, tile.rows - 1); }

// Keys of a partition that some row of the tile sees.
int64_t KeysIn(const AttentionTile& tile, int partition) {
  return KeysSeen(tile, partition, 0, tile.rows).count;
}

// Of all partitions.
int64_t AllKeys(const AttentionTile& tile) {
  const int last = LastPosition(tile);
  return last + 1 -
         WindowBegin(tile.window, PositionOf(tile, 0)) / tile.block_tokens * tile.block_tokens;
}

PartitionRange Common(const PartitionRange& a, const PartitionRange& b) {
  return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

// Partitions that a sequence's first row sees whole.
PartitionRange SeenWhole(const SequenceSpan& sequence, int window) {
  const int begin = WindowBegin(window, sequence.first_position);
  return {(begin + kPartitionTokens - 1) / kPartitionTokens,
          (sequence.first_position + 1) / kPartitionTokens};
}

// Those that both rows see whole and that lie in the same blocks, from the first of them on.
PartitionRange SeenByBoth(const SequenceSpan& a, const SequenceSpan& b, int window,
                          int block_tokens) {
  const PartitionRange both = Common(SeenWhole(a, window), SeenWhole(b, window));
  if (both.size() == 0) return {};
  const auto blocks = [&](const SequenceSpan& sequence, int partition) {
    return sequence.blocks.begin() + partition * kPartitionTokens / block_tokens;
  };
  const auto difference =
      std::mismatch(blocks(a, both.begin), blocks(a, both.end), blocks(b, both.begin));
  const auto same = static_cast<int>(difference.first - blocks(a, both.begin));
  return {both.begin, both.begin + same * block_tokens / kPartitionTokens};
}

class Planner {
 public:
  Planner(const AttentionCall& call, int threads)
      : call_(call), threads_(threads), group_(call.spec.heads / call.layout.kv_heads) {}

  AttentionPlan Plan() && {
    PlanTiles();
    plan_.forks = total_cost_ > kForkCost;
    if (plan_.forks) PlanShared();
    PlanItems();
    return std::move(plan_);
  }

 private:
  void PlanTiles() {
    const int tile_tokens = std::max(1, kMaxTileRows / group_);
    plan_.tiles.reserve(call_.sequences.size() * static_cast<size_t>(call_.layout.kv_heads));
    for (const SequenceSpan& sequence : call_.sequences) {
      first_tiles_.push_back(plan_.tiles.size());
      if (sequence.rows == 0) continue;
      const int last = sequence.first_position + sequence.rows - 1;
      CHECK(sequence.blocks.size() > static_cast<size_t>(last / call_.layout.block_tokens),
            "blocks exist up to the last position");
      for (int head = 0; head < call_.layout.kv_heads; ++head) {
        for (int token = 0; token < sequence.rows; token += tile_tokens) {
          // A group of more heads than a tile has rows is cut: several tiles of one token.
          for (int part = 0; part < group_; part += kMaxTileRows) {
            const int tokens = std::min(tile_tokens, sequence.rows - token);
            AddTile(sequence, head, token, tokens, part);
          }
        }
      }
    }
  }

  // The rows of `tokens` tokens of one KV head, by the heads of its group from `part` on.
  void AddTile(const SequenceSpan& sequence, int kv_head, int token, int tokens, int part) {
    const KvLayout& layout = call_.layout;
    const AttentionSpec& spec = call_.spec;
    TilePlan plan;
    plan.first_row = static_cast<size_t>(sequence.first_row + token);
    plan.first_head = kv_head * group_ + part;
    plan.tile.group = std::min(group_ - part, kMaxTileRows);
    plan.tile.rows = tokens * plan.tile.group;
    plan.tile.first_position = sequence.first_position + token;
    plan.tile.window = spec.window;
    plan.tile.key_dim = layout.key_dim;
    plan.tile.value_dim = layout.value_dim;
    plan.tile.block_tokens = layout.block_tokens;
    plan.tile.scale = spec.scale;
    plan.tile.soft_cap = spec.soft_cap;
    plan.tile.state_scale = spec.soft_cap == 0.0F ? spec.scale : 1.0F;
    plan.tile.blocks = sequence.blocks.data();
    plan.tile.k_offset = layout.k_offset(call_.layer, kv_head);
    plan.tile.v_offset = layout.v_offset(call_.layer, kv_head);
    plan.tile.key_scales_offset = layout.key_scales_offset();
    plan.partitions = {WindowBegin(spec.window, plan.tile.first_position) / kPartitionTokens,
                       LastPosition(plan.tile) / kPartitionTokens + 1};
    plan_.tiles.push_back(plan);
    total_cost_ += Cost(plan.tile, AllKeys(plan.tile));
  }

  // Runs of decoding sequences with a common prefix. One that shares less than half of what the run
  // shares would cost the others more than it gains: it begins a new run.
  void PlanShared() {
    const auto most = static_cast<size_t>(kMaxTileRows / group_);
    const std::span<const SequenceSpan> sequences = call_.sequences;
    for (size_t first = 0, end = 0; first < sequences.size(); first = end) {
      end = first + 1;
      PartitionRange partitions;
      for (; end < sequences.size() && end - first < most; ++end) {
        const SequenceSpan& next = sequences[end];
        if (sequences[first].rows != 1 || next.rows != 1 ||
            next.first_row != sequences[end - 1].first_row + 1) {
          break;
        }
        PartitionRange common =
            SeenByBoth(sequences[first], next, call_.spec.window, call_.layout.block_tokens);
        if (end - first > 1) common = Common(common, partitions);
        if (common.size() == 0 || 2 * common.size() < partitions.size()) break;
        partitions = common;
      }
      if (end - first > 1) ShareRun(first, static_cast<int>(end - first), partitions);
    }
  }

  void ShareRun(size_t first_sequence, int sequences, const PartitionRange& partitions) {
    for (int head = 0; head < call_.layout.kv_heads; ++head) {
      SharedPlan shared;
      shared.first_tile = first_tiles_[first_sequence] + static_cast<size_t>(head);
      const TilePlan& first = plan_.tiles[shared.first_tile];
      shared.tile = first.tile;
      shared.tile.rows = sequences * first.tile.group;
      shared.tile.first_position = partitions.end * kPartitionTokens - 1;  // every row sees it all
      shared.tile.window = 0;
      shared.first_row = first.first_row;
      shared.first_head = first.first_head;
      shared.tiles = sequences;
      shared.partitions = partitions;
      shared.partials = TakePartials(partitions.size(), shared.tile.rows);
      for (int i = 0; i < sequences; ++i) {
        TilePlan& member =
            plan_.tiles[shared.first_tile + static_cast<size_t>(i * call_.layout.kv_heads)];
        member.shared = partitions;
        member.shared_plan = plan_.shared.size();
        member.shared_row = i * member.tile.group;
      }
      plan_.shared.push_back(shared);
    }
  }

  // Room for the states of so many partitions; returns where it begins.
  size_t TakePartials(int partitions, int rows) {
    const size_t begin = plan_.partial_bytes;
    plan_.partial_bytes +=
        static_cast<size_t>(partitions) * StateBytes(rows, call_.layout.value_dim);
    return begin;
  }

  void PlanItems() {
    const int64_t share = total_cost_ / (kShares * threads_);
    plan_.items.reserve(plan_.tiles.size());
    for (size_t t = 0; t < plan_.tiles.size(); ++t) {
      TilePlan& plan = plan_.tiles[t];
      const int64_t cost = Cost(plan.tile, AllKeys(plan.tile));
      plan.split = plan.shared.size() > 0 ||
                   (threads_ > 1 && plan_.forks && plan.partitions.size() > 1 && cost > share);
      if (!plan.split) {
        plan_.items.push_back({false, t, 0, cost});
        continue;
      }
      plan.partials = TakePartials(plan.partitions.size() - plan.shared.size(), plan.tile.rows);
      plan.countdown = plan_.split_tiles++;
      for (int p = plan.partitions.begin; p < plan.partitions.end; ++p) {
        if (plan.shared.Contains(p)) continue;
        plan_.items.push_back({false, t, p, Cost(plan.tile, KeysIn(plan.tile, p))});
      }
    }
    for (size_t s = 0; s < plan_.shared.size(); ++s) {
      const SharedPlan& shared = plan_.shared[s];
      const int64_t cost = Cost(shared.tile, kPartitionTokens);
      for (int p = shared.partitions.begin; p < shared.partitions.end; ++p) {
        plan_.items.push_back({true, s, p, cost});
      }
    }
    // The dearest first, so that the threads end together.
    std::stable_sort(
        plan_.items.begin(), plan_.items.end(),
        [](const AttentionItem& a, const AttentionItem& b) { return a.cost > b.cost; });
  }

  const AttentionCall& call_;
  const int threads_;
  const int group_;  // query heads of a KV head
  AttentionPlan plan_;
  std::vector<size_t> first_tiles_;  // of each sequence
  int64_t total_cost_ = 0;
};

void CheckCall(const AttentionCall& call) {
  const KvLayout& layout = call.layout;
  const AttentionSpec& spec = call.spec;
  CHECK(layout.block_tokens >= 16 && kPartitionTokens % layout.block_tokens == 0,
        "a partition is a whole number of blocks of at least 16 tokens");
  CHECK(layout.key_dim > 0 && layout.key_dim % 2 == 0, "key_dim is even");
  CHECK(layout.value_dim > 0, "a head of V has a dimension");
  CHECK(layout.kv_heads > 0 && spec.heads % layout.kv_heads == 0,
        "each KV head is read by the same number of query heads");
  CHECK(spec.scale > 0.0F, "the largest score is the largest scaled score");
  CHECK(spec.window >= 0, "a window holds positions, or there is none");
  CHECK(spec.soft_cap >= 0.0F, "the largest score is the largest capped score");
  CHECK(spec.sinks.empty() || spec.sinks.size() == static_cast<size_t>(spec.heads),
        "each query head has a sink, or none has");
}

}  // namespace

size_t StateBytes(int rows, int value_dim) {
  return RoundUp(static_cast<size_t>(rows) * static_cast<size_t>(value_dim + 2) * sizeof(float),
                 64);
}

AttentionPlan PlanAttention(const AttentionCall& call, int threads) {
  CheckCall(call);
  return Planner(call, threads).Plan();
}

}  // namespace reprise

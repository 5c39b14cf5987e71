// Carries out a plan of attention: who computes which tile, and in which order its partitions come
// together. Nothing here may change a bit of the result.

#include "kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/round_up.h"
#include "kernels/attention_plan.h"
#include "kernels/attention_tile.h"

namespace reprise {
namespace {

AttentionState StateAt(std::byte* memory, int rows) {
  AttentionState state;
  state.maximum = reinterpret_cast<float*>(memory);
  state.sum = state.maximum + rows;
  state.out = state.sum + rows;
  return state;
}

class Run {
 public:
  Run(const AttentionKernel& kernel, const AttentionCall& call, ThreadPool& pool)
      : kernel_(kernel),
        call_(call),
        pool_(pool),
        plan_(PlanAttention(call, pool.threads())),
        countdowns_(plan_.split_tiles) {
    for (const TilePlan& plan : plan_.tiles) {
      if (plan.split) {
        countdowns_[plan.countdown].store(plan.partitions.size(), std::memory_order_relaxed);
      }
    }
  }

  void Execute(AttentionScratch& scratch) {
    const size_t threads = plan_.forks ? static_cast<size_t>(pool_.threads()) : 1;
    std::byte* memory = scratch.Reserve(threads * own_bytes() + plan_.partial_bytes);
    partials_ = memory + threads * own_bytes();
    if (threads == 1) {
      for (const AttentionItem& item : plan_.items) RunItem(item, memory);
      return;
    }
    pool_.RunInOrder(static_cast<int64_t>(plan_.items.size()), [&](int64_t item, int thread) {
      std::byte* const own = memory + static_cast<size_t>(thread) * own_bytes();
      RunItem(plan_.items[static_cast<size_t>(item)], own);
    });
  }

 private:
  int value_dim() const { return call_.layout.value_dim; }

  // A thread's own memory: a tile's queries, one partition's state, the state of those so far.
  size_t query_bytes() const {
    return RoundUp(static_cast<size_t>(kMaxTileRows) *
                       (static_cast<size_t>(call_.layout.key_dim) * kernel_.query_element_bytes +
                        kernel_.query_row_bytes),
                   64);
  }
  size_t own_bytes() const { return query_bytes() + 2 * StateBytes(kMaxTileRows, value_dim()); }
  AttentionState Part(std::byte* own) const { return StateAt(own + query_bytes(), kMaxTileRows); }
  AttentionState Total(std::byte* own) const {
    return StateAt(own + query_bytes() + StateBytes(kMaxTileRows, value_dim()), kMaxTileRows);
  }

  AttentionState PartialAt(size_t partials, int index, int rows) const {
    return StateAt(
        partials_ + partials + static_cast<size_t>(index) * StateBytes(rows, value_dim()), rows);
  }

  AttentionState Partial(const TilePlan& plan, int partition) const {
    if (!plan.shared.Contains(partition)) {
      return PartialAt(plan.partials, plan.OwnState(partition), plan.tile.rows);
    }
    const SharedPlan& shared = plan_.shared[plan.shared_plan];
    AttentionState state =
        PartialAt(shared.partials, partition - shared.partitions.begin, shared.tile.rows);
    state.maximum += plan.shared_row;
    state.sum += plan.shared_row;
    state.out += static_cast<size_t>(plan.shared_row) * static_cast<size_t>(value_dim());
    return state;
  }

  // A plan's tile with its queries, which it keeps in `own`.
  template <typename Plan>
  AttentionTile Load(const Plan& plan, std::byte* own) const {
    AttentionTile tile = plan.tile;
    const size_t stride =
        static_cast<size_t>(call_.spec.heads) * static_cast<size_t>(call_.layout.key_dim);
    const float* q = call_.q + plan.first_row * stride +
                     static_cast<size_t>(plan.first_head) * static_cast<size_t>(tile.key_dim);
    kernel_.load_queries(tile, q, stride, own);
    tile.queries = own;
    return tile;
  }

  void RunItem(const AttentionItem& item, std::byte* own) {
    if (item.is_shared) {
      RunShared(plan_.shared[item.plan], item.partition, own);
      return;
    }
    const TilePlan& plan = plan_.tiles[item.plan];
    const AttentionTile tile = Load(plan, own);
    if (plan.split) {
      kernel_.attend(tile, item.partition, Partial(plan, item.partition));
      CountDown(plan, own);
      return;
    }
    const AttentionState total = Total(own);
    Start(plan, total);
    for (int p = plan.partitions.begin; p < plan.partitions.end; ++p) {
      kernel_.attend(tile, p, Part(own));
      kernel_.combine(tile, p, Part(own), total);
    }
    Finish(plan, total);
  }

  void RunShared(const SharedPlan& shared, int partition, std::byte* own) {
    const AttentionTile tile = Load(shared, own);
    kernel_.attend(tile, partition,
                   PartialAt(shared.partials, partition - shared.partitions.begin, tile.rows));
    for (int i = 0; i < shared.tiles; ++i) {
      const auto member = static_cast<size_t>(i * call_.layout.kv_heads);
      CountDown(plan_.tiles[shared.first_tile + member], own);
    }
  }

  // One partition more is there. Who ends last combines, which saves a barrier; the order of
  // combining is fixed all the same.
  void CountDown(const TilePlan& plan, std::byte* own) {
    const bool last = countdowns_[plan.countdown].fetch_sub(1, std::memory_order_acq_rel) == 1;
    if (last) CombinePartials(plan, Total(own));
  }

  void CombinePartials(const TilePlan& plan, const AttentionState& total) const {
    Start(plan, total);
    for (int p = plan.partitions.begin; p < plan.partitions.end; ++p) {
      kernel_.combine(plan.tile, p, Partial(plan, p), total);
    }
    Finish(plan, total);
  }

  // The state of no keys, or of the sinks alone.
  void Start(const TilePlan& plan, const AttentionState& total) const {
    const AttentionTile& tile = plan.tile;
    const float* sinks = call_.spec.sinks.data();
    const bool has_sinks = !call_.spec.sinks.empty();
    std::fill_n(total.maximum, tile.rows, -std::numeric_limits<float>::infinity());
    for (int r = 0; has_sinks && r < tile.rows; ++r) {
      total.maximum[r] = sinks[plan.first_head + r % tile.group] / tile.state_scale;
    }
    std::fill_n(total.sum, tile.rows, has_sinks ? 1.0F : 0.0F);
    std::fill_n(total.out, static_cast<size_t>(tile.rows) * static_cast<size_t>(tile.value_dim),
                0.0F);
  }

  void Finish(const TilePlan& plan, const AttentionState& total) const {
    const auto width = static_cast<size_t>(value_dim());
    const size_t stride = static_cast<size_t>(call_.spec.heads) * width;
    float* out = call_.out + plan.first_row * stride + static_cast<size_t>(plan.first_head) * width;
    for (int r = 0; r < plan.tile.rows; ++r) {
      const float inverse = 1.0F / total.sum[r];
      const float* from = total.out + static_cast<size_t>(r) * width;
      float* to = out + static_cast<size_t>(r / plan.tile.group) * stride +
                  static_cast<size_t>(r % plan.tile.group) * width;
      for (size_t d = 0; d < width; ++d) to[d] = from[d] * inverse;
    }
  }

  const AttentionKernel& kernel_;
  const AttentionCall& call_;
  ThreadPool& pool_;
  const AttentionPlan plan_;
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
  Run(kernel, call, scratch.pool()).Execute(scratch);
}

}  // namespace reprise

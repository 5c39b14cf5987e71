// Attention with AMX: scores by tiles of bytes, values by those of bf16, softmax by AVX-512 between
// them. And the same over emulated tiles.
//
// Beside tile instructions, and some hundred cycles after them, 512-bit vector code runs at half
// its rate (Sapphire Rapids: about 750 cycles for each change). So the values of one step and the
// scores of the next are one tile phase, between two vector phases.
//
// A partition has two steps, each with its own largest score: sums so far are weighted anew when a
// step exceeds it. Few rows go the same way: beside vector code of the same bits a tile of one row
// reads K and V 1.4 to 2 times as fast.

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <optional>

#include "kernels/attention.h"
#include "kernels/attention_queries.h"
#include "kernels/attention_softmax_amx.h"
#include "kernels/attention_step_amx.h"
#include "kernels/attention_tile.h"
#include "kernels/for_vectors.h"
#include "kernels/simd_avx512.h"
#include "kernels/tiles.h"

namespace reprise {
namespace {

// K and V of a tile's next partition, brought to L2 while this one is computed: from L3 98 KiB (at
// 64 dimensions) take about as long as a third of the work of 96 rows, and tiles wait for each
// load. For few rows, which the memory's pace bounds and whose partitions may be other threads', it
// is off.
class NextPartition {
 public:
  NextPartition(const AttentionTile& tile, int partition)
      : tile_(tile),
        k_lines_(tile.block_tokens * ((tile.key_dim + 3) / 4 + 1) * 4 / kLine),
        lines_(k_lines_ + tile.block_tokens * tile.value_dim * 2 / kLine) {
    const int begin = (partition + 1) * kPartitionTokens;
    const int end = PositionOf(tile, tile.rows - 1) + 1;
    if (tile.rows <= kStepRows || end <= begin) return;
    block_ = begin / tile.block_tokens;
    end_block_ = (Min(end, begin + kPartitionTokens) - 1) / tile.block_tokens + 1;
    const int turns = tile.rows * (kPartitionTokens / kStepKeys);
    lines_a_turn_ = (end_block_ - block_) * lines_ / turns + 1;
  }

  // The next lines; to be called for each row of each step.
  void Fetch() {
    for (int i = 0; i < lines_a_turn_ && block_ < end_block_; ++i) {
      const bool is_key = line_ < k_lines_;
      const std::byte* from = tile_.blocks[block_] + (is_key ? tile_.k_offset : tile_.v_offset);
      _mm_prefetch(from + kLine * (is_key ? line_ : line_ - k_lines_), _MM_HINT_T1);
      if (++line_ < lines_) continue;
      line_ = 0;
      ++block_;
    }
  }

 private:
  static constexpr int kLine = 64;

  const AttentionTile& tile_;
  const int k_lines_;  // of a block
  const int lines_;
  int block_ = 0;
  int end_block_ = 0;
  int line_ = 0;
  int lines_a_turn_ = 0;
};

// A tile's rows over one partition.
template <typename Tiles>
class PartitionPass {
 public:
  PartitionPass(const AttentionTile& tile, int partition, const AttentionState& part)
      : tile_(tile),
        begin_(partition * kPartitionTokens),
        part_(part),
        queries_(*reinterpret_cast<const Queries*>(tile.queries)),
        cut_(tile),
        blocks_(tile),
        next_(tile, partition) {
    const KeySpan seen = KeysSeen(tile, partition, 0, tile.rows);
    for (int key = 0; key < seen.count; key += tile.block_tokens) {
      std::memcpy(key_scales_ + (seen.start - begin_ + key), blocks_.Scales(seen.start + key),
                  sizeof(float) * static_cast<size_t>(tile.block_tokens));
    }
  }

  void Run() {
    for (int first = 0; first < tile_.rows; first += kStepRows) {
      Step step = {.first_row = first, .rows = Min(kStepRows, tile_.rows - first)};
      step.is_first = true;
      for (int begin = begin_; begin < begin_ + kPartitionTokens; begin += kStepKeys) {
        step.keys = KeysOfStep(step, begin);
        if (step.keys.count <= 0) continue;
        if (last_.rows > 0) AddLastValues();
        Score(step);
        if (last_.rows > 0) TakeLastSums();
        TurnToProbabilities(step);
        last_ = step;
        step.is_first = false;
      }
    }
    if (last_.rows == 0) return;
    AddLastValues();
    TakeLastSums();
  }

 private:
  // Of the kStepKeys from `begin` on those that some row of the step sees, from a whole group on.
  KeySpan KeysOfStep(const Step& step, int begin) const {
    const int window_begin = WindowBegin(tile_.window, PositionOf(tile_, step.first_row));
    const int group = window_begin / cut_.group_keys * cut_.group_keys;
    const int start = group > begin ? group : begin;
    const int after = PositionOf(tile_, step.first_row + step.rows - 1) + 1;
    return {start, Min(after, begin + kStepKeys) - start};
  }

  void Score(const Step& step) {
    Shape(step.rows, {cut_.quads_per_tile, kTileRowBytes});
    const auto score = step.rows > kTileRows ? ScoreKeys<Tiles, 2> : ScoreKeys<Tiles, 1>;
    score(blocks_, cut_, step, queries_.quads() + step.first_row * cut_.quads, memory_.scores[0]);
  }

  void AddLastValues() {
    Shape(last_.rows, {cut_.group_keys / 2, 4 * cut_.columns});
    const auto add = last_.rows > kTileRows ? AddValues<Tiles, 2> : AddValues<Tiles, 1>;
    add(blocks_, cut_, last_, memory_.scores[0], OutOf(last_.first_row), memory_.sums[0]);
  }

  // Tiles for so many rows, and B of this shape: for most heads the same in both phases.
  void Shape(int rows, TileShape b) {
    if (tiled_ && rows == shaped_rows_ && b.rows == shaped_.rows && b.bytes == shaped_.bytes) {
      return;
    }
    TileShapes shapes;
    SetShapes(shapes, rows, b);
    tiled_.reset();
    tiled_.emplace(shapes);
    shaped_rows_ = rows;
    shaped_ = b;
  }

  // Walked row by row twice, so that no row waits until the largest score of its own is known.
  void TurnToProbabilities(const Step& step) {
    RowOfStep rows[kStepRows];
    float tops[kStepRows] = {};
    float factors[kStepRows] = {};
    for (int r = 0; r < step.rows; ++r) {
      const int row = step.first_row + r;
      rows[r] = {SeenBy(tile_, row, step.keys), queries_.starts[row], queries_.scales[row],
                 memory_.scores[r]};
      tops[r] = FinishScores(tile_, rows[r], key_scales_ + (step.keys.start - begin_));
      factors[r] = kLog2E * (tile_.soft_cap == 0.0F ? tile_.scale * rows[r].scale : 1.0F);
    }
    float weights[kStepRows];  // of the sums of earlier steps
    for (int r = 0; r < kStepRows; r += 16) {
      const Floats16 before =
          step.is_first ? Floats16::All(-__builtin_inff()) : Floats16::Load(largest_ + r);
      const Floats16 after = Max(before, Floats16::Load(tops + r));
      after.Store(largest_ + r);
      WeightOfEarlier(before, after, Floats16::Load(factors + r)).Store(weights + r);
    }
    for (int r = 0; r < step.rows; ++r) {
      const int row = step.first_row + r;
      ExponentiateScores(rows[r], step.keys.count, largest_[r], factors[r]);
      part_.maximum[row] = tile_.soft_cap == 0.0F ? largest_[r] * rows[r].scale : largest_[r];
      if (!step.is_first && weights[r] != 1.0F) WeighEarlier(r, row, weights[r]);
      next_.Fetch();
    }
  }

  void WeighEarlier(int r, int row, float weight) {
    const Floats16 by = Floats16::All(weight);
    (Floats16::Load(memory_.sums[r]) * by).Store(memory_.sums[r]);
    float* const out = OutOf(row);
    ForVectors<Floats16>(tile_.value_dim, [&](int64_t d, auto... mask) {
      (Floats16::Load(out + d, mask...) * by).Store(out + d, mask...);
    });
  }

  void TakeLastSums() {
    for (int r = 0; r < last_.rows; ++r) part_.sum[last_.first_row + r] = memory_.sums[r][0];
  }

  float* OutOf(int row) const { return part_.out + ptrdiff_t{row} * tile_.value_dim; }

  const AttentionTile& tile_;
  const int begin_;  // of the partition
  const AttentionState& part_;
  const Queries& queries_;
  const TileCut cut_;
  const KeyBlocks blocks_;
  NextPartition next_;
  StepMemory memory_;
  alignas(64) float key_scales_[kPartitionTokens];
  float largest_[kStepRows];  // score so far of a step's rows, but for the query's scale
  Step last_;                 // whose values are still to be added
  int shaped_rows_ = 0;
  TileShape shaped_ = {};
  std::optional<Tiled<Tiles>> tiled_;
};

template <typename Tiles>
void AttendByTiles(const AttentionTile& tile, int partition, const AttentionState& part) {
  PartitionPass<Tiles>(tile, partition, part).Run();
}

void CombineParts(const AttentionTile& tile, int partition, const AttentionState& part,
                  const AttentionState& total) {
  const Floats16 factor = Floats16::All(tile.state_scale * kLog2E);
  float tops[16];
  float old_weights[16];  // of sixteen rows at a time
  float new_weights[16];
  for (int row = 0; row < tile.rows; ++row) {
    const int lane = row % 16;
    if (lane == 0) {
      const Floats16::Mask rows = Floats16::FirstLanes(tile.rows - row);
      const Floats16 before = Floats16::Load(total.maximum + row, rows);
      const Floats16 added = Floats16::Load(part.maximum + row, rows);
      const Floats16 top = Max(added, before);
      top.Store(tops);
      WeightOfEarlier(before, top, factor).Store(old_weights);
      WeightOfEarlier(added, top, factor).Store(new_weights);
    }
    if (!Sees(tile, row, partition)) continue;
    total.maximum[row] = tops[lane];
    total.sum[row] = total.sum[row] * old_weights[lane] + part.sum[row] * new_weights[lane];
    const Floats16 old_weight = Floats16::All(old_weights[lane]);
    const Floats16 new_weight = Floats16::All(new_weights[lane]);
    const float* from = part.out + ptrdiff_t{row} * tile.value_dim;
    float* to = total.out + ptrdiff_t{row} * tile.value_dim;
    ForVectors<Floats16>(tile.value_dim, [&](int64_t d, auto... mask) {
      // + 0: a negative sum that underflowed is -0, but +0 once groups of probability 0 follow.
      const Floats16 added = Floats16::Load(from + d, mask...) + Floats16::All(0.0F);
      const Floats16 scaled = Floats16::Load(to + d, mask...) * old_weight;
      MulAdd(added, new_weight, scaled).Store(to + d, mask...);
    });
  }
}

template <typename Tiles>
constexpr AttentionKernel kTileKernel = {1, kQueryRowBytes, LoadQueries<Floats16, 1>,
                                         AttendByTiles<Tiles>, CombineParts};

}  // namespace

namespace amx {

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(kTileKernel<HardwareTiles>, call, scratch);
}

void EmulatedAttention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(kTileKernel<EmulatedTiles>, call, scratch);
}

}  // namespace amx
}  // namespace reprise

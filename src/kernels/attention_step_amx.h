#pragma once

// The tile phases of amx's attention, for the files compiled for it alone (hence the anonymous
// namespace), over HardwareTiles or EmulatedTiles (tiles.h): a step is up to 32 query rows by up to
// 256 keys of one partition.
//
// What a step works on stays in L1 (48 KiB where there is AMX): scores 32 x 256 x 4 bytes = 32 KiB,
// and in their place probabilities, 16 KiB. K (16 KiB at key_dim 64) and V (32 KiB) stream by from
// L2, each once a step. Steps of 512 keys, whose 64 KiB of scores went to L2 and back, took 3 to 6
// times what the products need (Sapphire Rapids).
//
//   ScoreKeys   A q [16 rows, 4 quads], B K as it lies in its block [quads, 16 keys], int32
//   AddValues   A P [16 rows, 32 keys], B V as it lies in its block [16 pairs, 16 dimensions], f32
//
// A row's bits of AddValues: keys in groups of 32 from the partition's start on (of 16 where a
// block has no more), each one product of MultiplyBf16, in ascending order. Groups that a row does
// not see add +0. Rows of a tile know nothing of each other, so that 1 row and 32 agree. Tiles take
// the shapes that divide the head: whole quads up to 16 and dimensions up to 16, so that nothing
// beyond K and V is read; integers, and columns of V, do not depend on how they are cut.

#include <cstddef>
#include <cstdint>

#include "kernels/attention_tile.h"
#include "kernels/tiles.h"

namespace reprise {
namespace {

constexpr int kStepRows = 2 * kTileRows;
constexpr int kStepKeys = 256;
static_assert(kPartitionTokens % kStepKeys == 0);

// Of a row's scores. An odd number of lines, so that rows are spread over the cache's sets.
constexpr int kScoreWords = kStepKeys + 16;
constexpr ptrdiff_t kScoreStride = kScoreWords * 4;

struct StepMemory {
  alignas(64) uint32_t scores[kStepRows][kScoreWords];
  alignas(64) float sums[kStepRows][kTileRows];  // of probabilities, the same in each column
};

inline int Min(int a, int b) { return a < b ? a : b; }

inline int LargestDivisor(int number, int most) {
  int divisor = Min(number, most);
  while (number % divisor != 0) --divisor;
  return divisor;
}

// How a layout is cut.
struct TileCut {
  explicit TileCut(const AttentionTile& tile)
      : quads((tile.key_dim + 3) / 4),
        quads_per_tile(LargestDivisor(quads, kTileRows)),
        columns(LargestDivisor(tile.value_dim, kTileRows)),
        group_keys(Min(tile.block_tokens, 32)) {}

  int quads;
  int quads_per_tile;
  int columns;     // dimensions of V of a tile
  int group_keys;  // of one product with V
};

// Where keys lie: the memory of a position's 16 or 32 keys side by side.
class KeyBlocks {
 public:
  explicit KeyBlocks(const AttentionTile& tile)
      : blocks_(tile.blocks),
        shift_(__builtin_ctz(static_cast<unsigned>(tile.block_tokens))),
        k_offset_(tile.k_offset),
        scales_offset_(tile.k_offset + tile.key_scales_offset),
        v_offset_(tile.v_offset),
        v_pair_bytes_(4 * tile.value_dim) {}

  const std::byte* K(int position) const {
    return Block(position) + k_offset_ + 4 * Slot(position);
  }
  const std::byte* Scales(int position) const {
    return Block(position) + scales_offset_ + 4 * Slot(position);
  }
  const std::byte* V(int position) const {
    return Block(position) + v_offset_ + Slot(position) / 2 * v_pair_bytes_;
  }
  ptrdiff_t k_stride() const { return ptrdiff_t{4} << shift_; }  // between quads
  ptrdiff_t v_stride() const { return v_pair_bytes_; }           // between pairs

 private:
  const std::byte* Block(int position) const { return blocks_[position >> shift_]; }
  int Slot(int position) const { return position & ((1 << shift_) - 1); }

  std::byte* const* blocks_;
  int shift_;
  size_t k_offset_;
  size_t scales_offset_;
  size_t v_offset_;
  int v_pair_bytes_;
};

// Passed by value: what the instructions' assembler may have written it cannot be, so that it stays
// in registers.
struct Step {
  int first_row = 0;
  int rows = 0;
  KeySpan keys = {};      // begins with a group
  bool is_first = false;  // of these rows within the partition
};

// Both phases have C in tiles 0 to 3, A in 4 and 5, B in 6 and 7.
inline void SetShapes(TileShapes& shapes, int rows, TileShape b) {
  const int rows_of[2] = {Min(rows, kTileRows), rows > kTileRows ? rows - kTileRows : rows};
  for (int t = 0; t < 2; ++t) {
    shapes[4 + t] = {rows_of[t], 4 * b.rows};
    shapes[6 + t] = b;
    for (const int pair : {0, 2}) shapes[pair + t] = {rows_of[t], b.bytes};
  }
}

// Loads rows of q, from `quad` on, to A.
template <typename Tiles, int kRowTiles>
[[gnu::always_inline]] inline void LoadQueryTiles(const uint32_t* queries, int quad,
                                                  ptrdiff_t quads) {
  Tiles::template Load<4>(queries + quad, 4 * quads);
  if (kRowTiles == 2) Tiles::template Load<5>(queries + quad + kTileRows * quads, 4 * quads);
}

// C tiles kC and kC + 1 = q · the 16 keys from `k` on.
template <typename Tiles, int kRowTiles, int kC>
[[gnu::always_inline]] inline void ScoreSixteen(TileCut cut, const uint32_t* queries,
                                                const std::byte* k, ptrdiff_t k_stride) {
  constexpr int kB = 6 + kC / 2;
  Tiles::template Zero<kC>();
  if (kRowTiles == 2) Tiles::template Zero<kC + 1>();
  for (int quad = 0; quad < cut.quads; quad += cut.quads_per_tile) {
    if (cut.quads_per_tile < cut.quads) {
      LoadQueryTiles<Tiles, kRowTiles>(queries, quad, cut.quads);
    }
    Tiles::template Load<kB>(k + quad * k_stride, k_stride);
    Tiles::template MultiplySU<kC, 4, kB>();
    if (kRowTiles == 2) Tiles::template MultiplySU<kC + 1, 5, kB>();
  }
}

template <typename Tiles, int kRowTiles, int kC>
[[gnu::always_inline]] inline void StoreTiles(void* to, ptrdiff_t stride) {
  Tiles::template Store<kC>(to, stride);
  if (kRowTiles == 2) {
    Tiles::template Store<kC + 1>(static_cast<std::byte*>(to) + kTileRows * stride, stride);
  }
}

// scores = values of q · bytes of K for the step's keys, rounded up to 16. queries: the step's
// rows, [rows][quads]. A tile is stored a product after its own, so that the store need not
// wait: 18 cycles a product rather than 29 (Sapphire Rapids).
template <typename Tiles, int kRowTiles>
void ScoreKeys(KeyBlocks blocks, TileCut cut, Step step, const uint32_t* queries,
               uint32_t* scores) {
  const int keys = step.keys.count;
  const ptrdiff_t stride = blocks.k_stride();
  const auto k = [&](int key) { return blocks.K(step.keys.start + key); };
  if (cut.quads_per_tile == cut.quads) LoadQueryTiles<Tiles, kRowTiles>(queries, 0, cut.quads);
  for (int key = 0; key < keys; key += 32) {
    ScoreSixteen<Tiles, kRowTiles, 0>(cut, queries, k(key), stride);
    if (key > 0) StoreTiles<Tiles, kRowTiles, 2>(scores + key - 16, kScoreStride);
    if (key + 16 >= keys) {
      StoreTiles<Tiles, kRowTiles, 0>(scores + key, kScoreStride);
      return;
    }
    ScoreSixteen<Tiles, kRowTiles, 2>(cut, queries, k(key + 16), stride);
    StoreTiles<Tiles, kRowTiles, 0>(scores + key, kScoreStride);
  }
  StoreTiles<Tiles, kRowTiles, 2>(scores + (keys - 1) / 16 * 16, kScoreStride);
}

// A column of C: where it lies, and tiles kC and kC + 1 for it.
struct Column {
  float* at;
  ptrdiff_t stride;
};

template <typename Tiles, int kRowTiles, int kC>
[[gnu::always_inline]] inline void BeginColumn(Step step, Column column) {
  if (step.is_first) {
    Tiles::template Zero<kC>();
    if (kRowTiles == 2) Tiles::template Zero<kC + 1>();
    return;
  }
  const auto* at = reinterpret_cast<const std::byte*>(column.at);
  Tiles::template Load<kC>(at, column.stride);
  if (kRowTiles == 2) Tiles::template Load<kC + 1>(at + kTileRows * column.stride, column.stride);
}

struct OnesTile {
  alignas(64) uint16_t pairs[kTileRows][kTileRowBytes / 2] = {};
  constexpr OnesTile() {
    for (auto& row : pairs) {
      for (uint16_t& one : row) one = 0x3F80;
    }
  }
};
constexpr OnesTile kOnes;

// first (if kColumns > 0) += probabilities · the dimensions of V at byte v_offset of a pair;
// second += probabilities · those after them, or with kSums · ones.
template <typename Tiles, int kRowTiles, int kColumns, bool kSums>
void AddColumns(KeyBlocks blocks, TileCut cut, Step step, const uint32_t* probabilities,
                int v_offset, Column first, Column second) {
  constexpr bool kHasFirst = kColumns > 0;
  const ptrdiff_t stride = blocks.v_stride();
  if (kHasFirst) BeginColumn<Tiles, kRowTiles, 0>(step, first);
  BeginColumn<Tiles, kRowTiles, 2>(step, second);
  if (kSums) Tiles::template Load<7>(kOnes.pairs, kTileRowBytes);
  for (int key = 0; key < step.keys.count; key += cut.group_keys) {
    const std::byte* v = blocks.V(step.keys.start + key) + v_offset;
    const uint32_t* p = probabilities + key / 2;
    if (kHasFirst) Tiles::template Load<6>(v, stride);
    Tiles::template Load<4>(p, kScoreStride);
    if (kHasFirst) Tiles::template MultiplyBf16<0, 4, 6>();
    if (!kSums) Tiles::template Load<7>(v + 4 * cut.columns, stride);
    Tiles::template MultiplyBf16<2, 4, 7>();
    if (kRowTiles == 2) {
      Tiles::template Load<5>(p + kTileRows * kScoreWords, kScoreStride);
      if (kHasFirst) Tiles::template MultiplyBf16<1, 5, 6>();
      Tiles::template MultiplyBf16<3, 5, 7>();
    }
  }
  if (kHasFirst) StoreTiles<Tiles, kRowTiles, 0>(first.at, first.stride);
  StoreTiles<Tiles, kRowTiles, 2>(second.at, second.stride);
}

// out [rows, value_dim] and sums += probabilities · (V, 1), or = in the first step of the rows. Two
// columns of tiles take all keys before the next two: V is read once, from L2, and P again for each
// two from L1; with keys outermost, C would be loaded and stored for each 32 keys.
template <typename Tiles, int kRowTiles>
void AddValues(KeyBlocks blocks, TileCut cut, Step step, const uint32_t* probabilities, float* out,
               float* sums) {
  const ptrdiff_t stride = blocks.v_stride();  // of a row of `out` too: as many bytes as a pair
  const Column sums_column = {sums, kTileRowBytes};
  const int dimensions = static_cast<int>(stride / 4);
  int d = 0;
  for (; d + 2 * cut.columns <= dimensions; d += 2 * cut.columns) {
    AddColumns<Tiles, kRowTiles, 2, false>(blocks, cut, step, probabilities, 4 * d,
                                           {out + d, stride}, {out + d + cut.columns, stride});
  }
  if (d < dimensions) {
    AddColumns<Tiles, kRowTiles, 1, true>(blocks, cut, step, probabilities, 4 * d,
                                          {out + d, stride}, sums_column);
  } else {
    AddColumns<Tiles, kRowTiles, 0, true>(blocks, cut, step, probabilities, 0, {}, sums_column);
  }
}

}  // namespace
}  // namespace reprise

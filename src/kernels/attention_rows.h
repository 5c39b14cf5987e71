#pragma once

// The arithmetic of attention over K of 8 bits and V of bf16 (kv_layout.h), over a vector type.
// Included by files compiled for one instruction set, each of which has its own copy and says in a
// `Set` what differs:
//
//   Floats                        the vector (simd_*.h)
//   kScoreRows, kScoreVectors     rows x vectors of keys whose sums stay in registers
//   kValueRows, kValueVectors     rows x vectors of dimensions, likewise
//   kMicroRows                    rows whose scores are kept at once, a multiple of kScoreRows
//   Keys, LoadKeys(words)         a vector of K's quads
//   Start(excess)                 of the sums of a row whose Queries::starts is `excess`
//   AddProducts(sums, keys, q)    with a row's quad in all lanes
//   StoreProbabilities(p, row, i) of keys i, i + 1, …, rounded to bf16; returns them so
//   kParts                        in which a pair of V is taken, one after the other
//   LoadPairs(part, words), LoadPairs(part, words, mask)   a vector of V's pairs, or halves
//   LoadWeights(part, row, j)     of keys 2j and 2j + 1 in all lanes, or of one of them
//   AddWeighted(sums, pairs, weights)
//
// A quad of bytes (dimensions 4d .. 4d+3) is one 32-bit word, which is multiplied and added as a
// unit; so is a pair of bf16 (keys 2j and 2j+1). "Quads" and "pairs" are such words.

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/attention.h"
#include "kernels/attention_queries.h"
#include "kernels/attention_tile.h"
#include "kernels/exp_lanes.h"
#include "kernels/for_vectors.h"

namespace reprise {
namespace {

inline int Min(int a, int b) { return a < b ? a : b; }

inline const uint32_t* Words(const std::byte* block, size_t offset) {
  return reinterpret_cast<const uint32_t*>(block + offset);
}

// Into L2, not L1: with prefetches into L1 one row on Zen 4 is a fifth to two fifths slower.
inline void Prefetch(const uint32_t* address) {
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T1);
}

// The keys of one micro tile: blocks from the first that it reads on, `keys` of them up to the last
// that its last row sees.
struct KeyRange {
  std::byte* const* blocks;
  int block_tokens;
  int keys;

  int count() const { return (keys + block_tokens - 1) / block_tokens; }
};

// What to prefetch at step `step` of a range: K of its blocks is read first, block by block, then
// V. Two steps ahead: one loses 5 %, three and four gain nothing.
struct NextRead {
  const uint32_t* words;
  bool is_keys;
};

inline NextRead Ahead(const AttentionTile& tile, const KeyRange& range, int step) {
  const int count = range.count();
  const int ahead = Min(step + 2, 2 * count - 1);
  if (ahead < count) return {Words(range.blocks[ahead], tile.k_offset), true};
  return {Words(range.blocks[ahead - count], tile.v_offset), false};
}

template <typename Set>
class AttentionRows {
  using Floats = typename Set::Floats;
  using Integers = typename Floats::Integers;
  using Mask = typename Floats::Mask;
  static constexpr int kLanes = Floats::kLanes;
  static constexpr int kScoreKeys = Set::kScoreVectors * kLanes;

  // Rows of scores in f32 and in their place, vector by vector, of probabilities; they stay in L1
  // beside a block of K or V. A line more than 2 KiB apart, or they would share two of the cache's
  // sets.
  static constexpr int kRowWords = kPartitionTokens + 16;
  struct Workspace {
    alignas(64) uint32_t rows[Set::kMicroRows][kRowWords];
  };

  // scores[kRows][kLanes kVectors] = values of q · values of kᵀ * scale of k, over all quads.
  // q: [quads][kRows]; k: [quads][block_tokens], and a line further the scales. ahead: memory to be
  // read next, K (kAheadLines 1) or V, which has twice as many words for each quad (kAheadLines 2).
  template <int kRows, int kVectors, int kAheadLines>
  static void Scores(const uint32_t* q, const int32_t* starts, const uint32_t* k,
                     const uint32_t* ahead, int quads, int block_tokens, uint32_t* scores) {
    constexpr int kWords = kVectors * kLanes;
    Integers acc[kRows][kVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) acc[r][v] = Set::Start(starts[r]);
    }
    for (int d = 0; d < quads; ++d) {
      typename Set::Keys keys[kVectors];
      for (int v = 0; v < kVectors; ++v) keys[v] = Set::LoadKeys(k + kLanes * v);
      for (int w = 0; w < kAheadLines * kWords; w += 16) Prefetch(ahead + w);
      for (int r = 0; r < kRows; ++r) {
        const Integers query = Integers::All(static_cast<int32_t>(q[r]));
        for (int v = 0; v < kVectors; ++v) {
          acc[r][v] = Set::AddProducts(acc[r][v], keys[v], query);
        }
      }
      q += kRows;
      k += block_tokens;
      ahead += kAheadLines * block_tokens;
    }
    if (kAheadLines == 1) {
      for (int w = 0; w < kWords; w += 16) Prefetch(ahead + w);
    }
    for (int v = 0; v < kVectors; ++v) {
      const Floats scale = Floats::Load(reinterpret_cast<const float*>(k) + kLanes * v);
      for (int r = 0; r < kRows; ++r) {
        (ToFloats(acc[r][v]) * scale).Store(AsFloats(scores + r * kRowWords + kLanes * v));
      }
    }
  }

  template <int kRows>
  static void AllScores(const AttentionTile& tile, const KeyRange& range, const uint32_t* q,
                        const int32_t* starts, uint32_t* scores) {
    const int quads = Quads(tile);
    for (int key = 0, block = 0; key < range.keys; key += range.block_tokens, ++block) {
      const uint32_t* k = Words(range.blocks[block], tile.k_offset);
      const NextRead ahead = Ahead(tile, range, block);
      const int end = Min(range.block_tokens, range.keys - key);
      if (range.block_tokens < kScoreKeys) {
        constexpr int kFewer = 16 / kLanes;
        const auto scores_of = ahead.is_keys ? Scores<kRows, kFewer, 1> : Scores<kRows, kFewer, 2>;
        scores_of(q, starts, k, ahead.words, quads, range.block_tokens, scores + key);
        continue;
      }
      const auto scores_of = ahead.is_keys ? Scores<kRows, Set::kScoreVectors, 1>
                                           : Scores<kRows, Set::kScoreVectors, 2>;
      for (int i = 0; i < end; i += kScoreKeys) {
        scores_of(q, starts, k + i, ahead.words + (ahead.is_keys ? i : 2 * i), quads,
                  range.block_tokens, scores + key + i);
      }
    }
  }

  // step(i) for the vectors of keys i, i + 1, … that a row sees whole, step(i, mask) for the others
  // of which it sees a key; ascending.
  template <typename Step>
  static void ForSeen(const SeenKeys& seen, Step step) {
    int i = seen.begin / kLanes * kLanes;
    if (i < seen.begin && i + kLanes <= seen.end) {
      step(i, Floats::Lanes(seen.begin - i, kLanes));
      i += kLanes;
    }
    for (; i + kLanes <= seen.end; i += kLanes) step(i);
    if (i < seen.end) step(i, Floats::Lanes(seen.begin - i, seen.end - i));
  }

  // Turns a row's scores into probabilities = bf16(exp(scale * (score - top))) of the keys that it
  // sees, top their largest score, and 0 for the others up to `keys` rounded up to a vector;
  // returns their sum: lane i adds the keys ≡ i modulo the lanes in ascending order, then the lanes
  // come together. The sum is of the rounded values, so that the weights of V add up to 1. (The
  // walk for `top` takes 4 % of 512 rows with heads of 64 and 1 % with 128; to keep the maximum
  // while scores are written takes as much. AVX-512, Zen 5.)
  static float Softmax(uint32_t* row, const SeenKeys& seen, int keys, float scale, float* largest) {
    const Floats lowest = Floats::All(-__builtin_inff());
    Floats top = lowest;
    ForSeen(seen, [&](int i, auto... mask) {
      const Floats scores = Floats::Load(AsFloats(row + i));
      if constexpr (sizeof...(mask) == 0) {
        top = Max(top, scores);
      } else {
        top = Max(top, Select(mask..., scores, lowest));
      }
    });
    *largest = Largest(top);

    const Floats offset = Floats::All(*largest);
    const Floats factor = Floats::All(scale);
    const Floats zero = Floats::All(0.0F);
    Floats sum = zero;
    int i = 0;
    for (; i + kLanes <= seen.begin; i += kLanes) Set::StoreProbabilities(zero, row, i);
    ForSeen(seen, [&](int at, auto... mask) {
      Floats p = Exp((Floats::Load(AsFloats(row + at)) - offset) * factor);
      if constexpr (sizeof...(mask) != 0) p = Keep(mask..., p);
      sum = sum + Set::StoreProbabilities(p, row, at);
    });
    i = (seen.end + kLanes - 1) / kLanes * kLanes;
    for (; i < keys; i += kLanes) Set::StoreProbabilities(zero, row, i);
    return Sum(sum);
  }

  // acc += one part of a pair of keys, weighted. Inlined, and the loops over acc unrolled before
  // anything else, or gcc keeps the sums in memory.
  template <int kPart, int kRows, int kVectors, typename... PartialMask>
  [[gnu::always_inline]] static void AddPart(const uint32_t* values, const uint32_t* rows, int j,
                                             Floats (&acc)[kRows][kVectors], PartialMask... mask) {
    typename Set::Pairs pairs[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      pairs[v] = Set::LoadPairs(kPart, values + kLanes * v, mask...);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const auto weights = Set::LoadWeights(kPart, rows + r * kRowWords, j);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        acc[r][v] = Set::AddWeighted(acc[r][v], pairs[v], weights);
      }
    }
  }

  // out[kRows][kLanes kVectors] = probabilities · V over pairs of keys, ascending, for the
  // dimensions from `dimension` on; with a mask one vector, of which only its lanes exist.
  template <int kRows, int kVectors, typename... PartialMask>
  static void Values(const AttentionTile& tile, const KeyRange& range, int dimension,
                     const uint32_t* rows, float* out, PartialMask... mask) {
    Floats acc[kRows][kVectors] = {};
    const int value_dim = tile.value_dim;
    for (int key = 0, block = 0; key < range.keys; key += range.block_tokens, ++block) {
      const uint32_t* values = Words(range.blocks[block], tile.v_offset) + dimension;
      const uint32_t* ahead = Ahead(tile, range, range.count() + block).words + dimension;
      const int end = (Min(range.keys, key + range.block_tokens) + 1) / 2;
      for (int j = key / 2; j < end; ++j) {
        for (int w = 0; w < kVectors * kLanes; w += 16) Prefetch(ahead + w);
        AddPart<0>(values, rows, j, acc, mask...);
        if constexpr (Set::kParts == 2) AddPart<1>(values, rows, j, acc, mask...);
        values += value_dim;
        ahead += value_dim;
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      float* to = out + r * value_dim + dimension;
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        // + 0: a negative sum that underflowed is -0, but +0 once pairs of probability 0 follow.
        (acc[r][v] + Floats::All(0.0F)).Store(to + kLanes * v, mask...);
      }
    }
  }

  template <int kRows>
  static void AllValues(const AttentionTile& tile, const KeyRange& range, const uint32_t* rows,
                        float* out) {
    constexpr int kColumns = Set::kValueVectors * kLanes;
    int d = 0;
    // Few rows have few sums, which wait for each other.
    if constexpr (kRows <= Set::kValueRows / 2) {
      for (; d + 2 * kColumns <= tile.value_dim; d += 2 * kColumns) {
        Values<kRows, 2 * Set::kValueVectors>(tile, range, d, rows, out);
      }
    }
    for (; d + kColumns <= tile.value_dim; d += kColumns) {
      Values<kRows, Set::kValueVectors>(tile, range, d, rows, out);
    }
    for (; d + kLanes <= tile.value_dim; d += kLanes) {
      Values<kRows, 1>(tile, range, d, rows, out);
    }
    if (d < tile.value_dim) {
      Values<kRows, 1>(tile, range, d, rows, out, Floats::FirstLanes(tile.value_dim - d));
    }
  }

  // The functions for 1 .. kScoreRows and 1 .. kValueRows rows.
  template <int... kLess>
  static auto ScoresOf(int rows, std::integer_sequence<int, kLess...>) {
    static constexpr decltype(&AllScores<1>) kScores[] = {AllScores<kLess + 1>...};
    return kScores[rows - 1];
  }
  template <int... kLess>
  static auto ValuesOf(int rows, std::integer_sequence<int, kLess...>) {
    static constexpr decltype(&AllValues<1>) kValues[] = {AllValues<kLess + 1>...};
    return kValues[rows - 1];
  }

  static float* AsFloats(uint32_t* words) { return reinterpret_cast<float*>(words); }

 public:
  // attention.h
  static void CapScores(float* scores, int count, float scale, float cap) {
    const Floats factor = Floats::All(scale / cap);
    for (int i = 0; i < count; i += kLanes) {
      (Floats::All(cap) * Tanh(Floats::Load(scores + i) * factor)).Store(scores + i);
    }
  }

  // The functions of AttentionKernel.
  static void Attend(const AttentionTile& tile, int partition, const AttentionState& part) {
    Workspace work;
    const auto& queries = *reinterpret_cast<const Queries*>(tile.queries);
    for (int first = 0; first < tile.rows; first += Set::kMicroRows) {
      const int rows = Min(Set::kMicroRows, tile.rows - first);
      const KeySpan span = KeysSeen(tile, partition, first, rows);
      if (span.count <= 0) continue;
      const KeyRange range = {tile.blocks + span.start / tile.block_tokens, tile.block_tokens,
                              span.count};
      for (int r = 0; r < rows; r += Set::kScoreRows) {
        ScoresOf(Min(Set::kScoreRows, rows - r),
                 std::make_integer_sequence<int, Set::kScoreRows>())(
            tile, range, queries.quads() + (first + r) * Quads(tile), queries.starts + first + r,
            work.rows[r]);
      }
      for (int r = 0; r < rows; ++r) {
        const int row = first + r;
        float scale = queries.scales[row];
        if (tile.soft_cap != 0.0F) {
          CapScores(AsFloats(work.rows[r]), (range.keys + 15) / 16 * 16, tile.scale * scale,
                    tile.soft_cap);
          scale = 1.0F;
        }
        float largest;
        part.sum[row] = Softmax(work.rows[r], SeenBy(tile, row, span), range.keys,
                                tile.state_scale * scale, &largest);
        part.maximum[row] = largest * scale;
      }
      for (int r = 0; r < rows; r += Set::kValueRows) {
        ValuesOf(Min(Set::kValueRows, rows - r),
                 std::make_integer_sequence<int, Set::kValueRows>())(
            tile, range, work.rows[r], part.out + (first + r) * tile.value_dim);
      }
    }
  }

  static void Combine(const AttentionTile& tile, int partition, const AttentionState& part,
                      const AttentionState& total) {
    for (int r = 0; r < tile.rows; ++r) {
      if (!Sees(tile, r, partition)) continue;
      const float top = part.maximum[r] > total.maximum[r] ? part.maximum[r] : total.maximum[r];
      const Floats old_weight = Exp(Floats::All((total.maximum[r] - top) * tile.state_scale));
      const Floats new_weight = Exp(Floats::All((part.maximum[r] - top) * tile.state_scale));
      total.maximum[r] = top;
      total.sum[r] = total.sum[r] * FirstLane(old_weight) + part.sum[r] * FirstLane(new_weight);
      const float* from = part.out + r * tile.value_dim;
      float* to = total.out + r * tile.value_dim;
      ForVectors<Floats>(tile.value_dim, [&](int64_t d, auto... mask) {
        const Floats scaled = Floats::Load(to + d, mask...) * old_weight;
        MulAdd(Floats::Load(from + d, mask...), new_weight, scaled).Store(to + d, mask...);
      });
    }
  }

  static constexpr AttentionKernel kKernel = {
      1, kQueryRowBytes, LoadQueries<Floats, Set::kScoreRows>, Attend, Combine};
};

}  // namespace
}  // namespace reprise

// Attention with AVX-512 and its bf16 products. Rows are taken twelve at a time.
//
// A pair of bf16 (dimensions 2d and 2d+1, or keys 2j and 2j+1) is one 32-bit word, which
// vdpbf16ps multiplies and adds as a unit; "pairs" below are such words.

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_tile.h"
#include "kernels/exp_avx512.h"

namespace reprise {
namespace {

// Scores take 12 rows x 2 vectors of 16 keys: 24 accumulators and 2 vectors of K in the 32
// registers, 24 products for 14 loads. Values take 6 rows x 4 vectors of 16 dimensions, likewise.
constexpr int kMicroRows = 12;
constexpr int kValueRows = 6;
constexpr int kPairs = kPartitionTokens / 2;

// Scores and probabilities of the twelve rows: 24 + 12 KiB, a little more than L1, but each pass
// over them is sequential.
struct Workspace {
  alignas(64) float scores[kMicroRows][kPartitionTokens];
  alignas(64) uint32_t probabilities[kMicroRows][kPairs];
};

int Min(int a, int b) { return a < b ? a : b; }

__m512bh AsPairs(__m512i v) { return reinterpret_cast<__m512bh>(v); }

__m512bh Broadcast(uint32_t pair) { return AsPairs(_mm512_set1_epi32(static_cast<int>(pair))); }

const uint32_t* Words(const std::byte* block, size_t offset) {
  return reinterpret_cast<const uint32_t*>(block + offset);
}

// Into L2, not L1. One core of a Zen 4 decodes at 19 GB/s with this; at 11 with prefetches into L1,
// or with none. Reading alone, in pieces of 4 KiB as blocks lie, gives 20.
void Prefetch(const uint32_t* address) {
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T1);
}

// Queries: [rows / 12][head_dim / 2][12] pairs, the last group with as many rows as are left, so
// that the broadcasts of one pair index lie side by side.
void LoadQueries(const AttentionTile& tile, const float* q, size_t token_stride,
                 std::byte* queries) {
  const int pairs = tile.head_dim / 2;
  uint32_t* to = reinterpret_cast<uint32_t*>(queries);
  for (int first = 0; first < tile.rows; first += kMicroRows) {
    const int rows = Min(kMicroRows, tile.rows - first);
    for (int r = 0; r < rows; ++r) {
      const int row = first + r;
      const float* from =
          q + static_cast<size_t>(row / tile.group) * token_stride +
          static_cast<size_t>(row % tile.group) * static_cast<size_t>(tile.head_dim);
      for (int d = 0; d < pairs; d += 8) {
        const int count = Min(8, pairs - d);
        const __mmask16 mask = static_cast<__mmask16>((1U << (2 * count)) - 1U);
        alignas(32) uint32_t words[8];
        _mm256_store_si256(reinterpret_cast<__m256i*>(words),
                           reinterpret_cast<__m256i>(
                               _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from + 2 * d))));
        for (int i = 0; i < count; ++i) to[(d + i) * rows + r] = words[i];
      }
    }
    to += rows * pairs;
  }
}

// scores[kRows][16 kVectors] = q kᵀ over all pairs of dimensions, ascending.
// q: [pairs][kRows]; k: [pairs][block_tokens]; ahead: memory to be read next, laid out like k.
template <int kRows, int kVectors>
void Scores(const uint32_t* q, const uint32_t* k, const uint32_t* ahead, int pairs,
            int block_tokens, float* scores) {
  __m512 acc[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm512_setzero_ps();
  }
  for (int d = 0; d < pairs; ++d) {
    __m512bh keys[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      keys[v] = AsPairs(_mm512_loadu_si512(k + 16 * v));
      Prefetch(ahead + 16 * v);
    }
    for (int r = 0; r < kRows; ++r) {
      const __m512bh query = Broadcast(q[r]);
      for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], keys[v], query);
    }
    q += kRows;
    k += block_tokens;
    ahead += block_tokens;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      _mm512_store_ps(scores + r * kPartitionTokens + 16 * v, acc[r][v]);
    }
  }
}

// The keys of one micro tile: blocks from the partition's first on, `keys` of them visible to the
// micro tile's last row.
struct KeyRange {
  std::byte* const* blocks;
  int block_tokens;
  int keys;

  int count() const { return (keys + block_tokens - 1) / block_tokens; }
};

// What to prefetch at step `step` of a range: K of its blocks is read first, block by block,
// then V. Two steps ahead (8 KiB at head_dim 64) are best, one and three lose 5 %.
const uint32_t* Ahead(const AttentionTile& tile, const KeyRange& range, int step) {
  const int count = range.count();
  const int ahead = step + 2;
  if (ahead < count) return Words(range.blocks[ahead], tile.k_offset);
  if (ahead < 2 * count) return Words(range.blocks[ahead - count], tile.v_offset);
  return Words(range.blocks[count - 1], tile.v_offset);
}

template <int kRows>
void AllScores(const AttentionTile& tile, const KeyRange& range, const uint32_t* q, float* scores) {
  const int pairs = tile.head_dim / 2;
  for (int key = 0, block = 0; key < range.keys; key += range.block_tokens, ++block) {
    const uint32_t* k = Words(range.blocks[block], tile.k_offset);
    const uint32_t* ahead = Ahead(tile, range, block);
    const int end = Min(range.block_tokens, range.keys - key);
    if (range.block_tokens == 16) {
      Scores<kRows, 1>(q, k, ahead, pairs, 16, scores + key);
      continue;
    }
    for (int i = 0; i < end; i += 32) {
      Scores<kRows, 2>(q, k + i, ahead + i, pairs, range.block_tokens, scores + key + i);
    }
  }
}

// probabilities = bf16(exp(scale * (scores - maximum))) of the first `visible` keys, 0 from there
// to `keys` rounded up to 16; returns their sum: lane i of 16 adds the keys ≡ i mod 16 in ascending
// order, then the lanes come together. The sum is of the rounded values, so that the weights of V
// add up to 1.
float Softmax(const float* scores, int visible, int keys, float scale, float* maximum,
              uint32_t* probabilities) {
  const int whole = visible / 16 * 16;
  const __mmask16 rest = static_cast<__mmask16>((1U << (visible % 16)) - 1U);
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  __m512 top = lowest;
  for (int i = 0; i < whole; i += 16) top = _mm512_max_ps(top, _mm512_load_ps(scores + i));
  if (rest != 0) top = _mm512_max_ps(top, _mm512_mask_load_ps(lowest, rest, scores + whole));
  *maximum = _mm512_reduce_max_ps(top);

  const __m512 offset = _mm512_set1_ps(*maximum);
  const __m512 factor = _mm512_set1_ps(scale);
  __m512 sum = _mm512_setzero_ps();
  __m256i* to = reinterpret_cast<__m256i*>(probabilities);
  for (int i = 0; i < keys; i += 16, ++to) {
    const __mmask16 mask = i < whole ? static_cast<__mmask16>(0xFFFF)
                                     : (i == whole ? rest : static_cast<__mmask16>(0));
    const __m512 x = _mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(scores + i), offset), factor);
    const __m256i p =
        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_maskz_mov_ps(mask, Exp16(x))));
    _mm256_store_si256(to, p);
    sum = _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(p), 16)));
  }
  return _mm512_reduce_add_ps(sum);
}

// out[kRows][16 kVectors] = probabilities · V over pairs of keys, ascending, for the dimensions
// from `dimension` on. kPartial: one vector of which only the lanes of `mask` exist.
template <int kRows, int kVectors, bool kPartial>
void Values(const AttentionTile& tile, const KeyRange& range, int dimension, __mmask16 mask,
            const uint32_t* probabilities, float* out) {
  __m512 acc[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm512_setzero_ps();
  }
  const int head_dim = tile.head_dim;
  for (int key = 0, block = 0; key < range.keys; key += range.block_tokens, ++block) {
    const uint32_t* values = Words(range.blocks[block], tile.v_offset) + dimension;
    const uint32_t* ahead = Ahead(tile, range, range.count() + block) + dimension;
    const int pairs = (Min(range.block_tokens, range.keys - key) + 1) / 2;
    for (int j = 0; j < pairs; ++j) {
      __m512bh vectors[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        vectors[v] = AsPairs(kPartial ? _mm512_maskz_loadu_epi32(mask, values)
                                      : _mm512_loadu_si512(values + 16 * v));
        Prefetch(ahead + 16 * v);
      }
      for (int r = 0; r < kRows; ++r) {
        const __m512bh p = Broadcast(probabilities[r * kPairs + j]);
        for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], vectors[v], p);
      }
      values += head_dim;
      ahead += head_dim;
    }
    probabilities += range.block_tokens / 2;
  }
  for (int r = 0; r < kRows; ++r) {
    float* to = out + r * head_dim + dimension;
    for (int v = 0; v < kVectors; ++v) {
      // + 0: a negative sum that underflowed is -0, but +0 once pairs of probability 0 follow.
      const __m512 sum = _mm512_add_ps(acc[r][v], _mm512_setzero_ps());
      if (kPartial) {
        _mm512_mask_storeu_ps(to, mask, sum);
      } else {
        _mm512_storeu_ps(to + 16 * v, sum);
      }
    }
  }
}

template <int kRows>
void AllValues(const AttentionTile& tile, const KeyRange& range, const uint32_t* probabilities,
               float* out) {
  int d = 0;
  for (; d + 64 <= tile.head_dim; d += 64) {
    Values<kRows, 4, false>(tile, range, d, 0, probabilities, out);
  }
  for (; d + 16 <= tile.head_dim; d += 16) {
    Values<kRows, 1, false>(tile, range, d, 0, probabilities, out);
  }
  if (d < tile.head_dim) {
    const __mmask16 mask = static_cast<__mmask16>((1U << (tile.head_dim - d)) - 1U);
    Values<kRows, 1, true>(tile, range, d, mask, probabilities, out);
  }
}

using ScoresFunction = void (*)(const AttentionTile&, const KeyRange&, const uint32_t*, float*);
constexpr ScoresFunction kScores[kMicroRows + 1] = {
    nullptr,       AllScores<1>,  AllScores<2>, AllScores<3>, AllScores<4>,
    AllScores<5>,  AllScores<6>,  AllScores<7>, AllScores<8>, AllScores<9>,
    AllScores<10>, AllScores<11>, AllScores<12>};
constexpr ScoresFunction kValues[kValueRows + 1] = {
    nullptr, AllValues<1>, AllValues<2>, AllValues<3>, AllValues<4>, AllValues<5>, AllValues<6>};

void Attend(const AttentionTile& tile, int partition, const AttentionState& part) {
  Workspace work;
  const int start = partition * kPartitionTokens;
  const int pairs = tile.head_dim / 2;
  for (int first = 0; first < tile.rows; first += kMicroRows) {
    const int rows = Min(kMicroRows, tile.rows - first);
    const int seen = tile.first_position + (first + rows - 1) / tile.group + 1 - start;
    if (seen <= 0) continue;
    const KeyRange range = {tile.blocks + start / tile.block_tokens, tile.block_tokens,
                            Min(kPartitionTokens, seen)};
    const uint32_t* q = reinterpret_cast<const uint32_t*>(tile.queries) + first * pairs;
    kScores[rows](tile, range, q, &work.scores[0][0]);
    for (int r = 0; r < rows; ++r) {
      const int row_seen = tile.first_position + (first + r) / tile.group + 1 - start;
      const int visible = row_seen < 0 ? 0 : Min(row_seen, range.keys);
      part.sum[first + r] = Softmax(work.scores[r], visible, range.keys, tile.scale,
                                    &part.maximum[first + r], work.probabilities[r]);
    }
    for (int r = 0; r < rows; r += kValueRows) {
      kValues[Min(kValueRows, rows - r)](tile, range, work.probabilities[r],
                                         part.out + (first + r) * tile.head_dim);
    }
  }
}

void Combine(const AttentionTile& tile, int partition, const AttentionState& part,
             const AttentionState& total) {
  const int start = partition * kPartitionTokens;
  for (int r = 0; r < tile.rows; ++r) {
    if (tile.first_position + r / tile.group < start) continue;
    const float top = part.maximum[r] > total.maximum[r] ? part.maximum[r] : total.maximum[r];
    const __m512 old_weight = Exp16(_mm512_set1_ps((total.maximum[r] - top) * tile.scale));
    const __m512 new_weight = Exp16(_mm512_set1_ps((part.maximum[r] - top) * tile.scale));
    total.maximum[r] = top;
    total.sum[r] =
        total.sum[r] * _mm512_cvtss_f32(old_weight) + part.sum[r] * _mm512_cvtss_f32(new_weight);
    const float* from = part.out + r * tile.head_dim;
    float* to = total.out + r * tile.head_dim;
    for (int d = 0; d < tile.head_dim; d += 16) {
      const int left = tile.head_dim - d;
      const __mmask16 mask = static_cast<__mmask16>(left >= 16 ? 0xFFFFU : (1U << left) - 1U);
      const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, to + d), old_weight);
      const __m512 sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, from + d), new_weight, scaled);
      _mm512_mask_storeu_ps(to + d, mask, sum);
    }
  }
}

constexpr AttentionKernel kKernel = {2, LoadQueries, Attend, Combine};

}  // namespace

namespace avx512 {

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(kKernel, call, scratch);
}

}  // namespace avx512
}  // namespace reprise

// Attention with AVX-512: scores by its 8-bit products, values by those of bf16. Rows are taken
// twelve at a time.
//
// A quad of bytes (dimensions 4d .. 4d+3) is one 32-bit word, which vpdpbusd multiplies and adds as
// a unit; so is a pair of bf16 (keys 2j and 2j+1) to vdpbf16ps. "Quads" and "pairs" are such words.

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_tile.h"
#include "kernels/exp_avx512.h"
#include "kernels/quantize_query_avx512.h"
#include "kernels/tanh_avx512.h"

namespace reprise {
namespace {

// Scores take 12 rows x 2 vectors of 16 keys: 24 accumulators and 2 vectors of K in the 32
// registers, 24 products for 14 loads. Values take 6 rows x 4 vectors of 16 dimensions, likewise.
constexpr int kMicroRows = 12;
constexpr int kValueRows = 6;

// Scores of the twelve rows in f32, and in their place, vector by vector, their probabilities in
// bf16: 25 KiB, which stay in L1 beside a block of K or V. Rows are a line more than 2 KiB apart,
// or they would share two of the cache's sets.
constexpr int kRowWords = kPartitionTokens + 16;
struct Workspace {
  alignas(64) uint32_t rows[kMicroRows][kRowWords];
};

// Sixteen 32-bit sums. As __m512i, which has lanes of 64 bits, gcc 12 copies and spills
// accumulators around every vpdpbusd, and the scores take twice as long.
using Sums = int32_t __attribute__((vector_size(64)));

__m512bh AsPairs(__m512i v) { return reinterpret_cast<__m512bh>(v); }

__m512bh Broadcast(uint32_t pair) { return AsPairs(_mm512_set1_epi32(static_cast<int>(pair))); }

const uint32_t* Words(const std::byte* block, size_t offset) {
  return reinterpret_cast<const uint32_t*>(block + offset);
}

int Quads(const AttentionTile& tile) { return (tile.key_dim + 3) / 4; }

// Into L2, not L1: with prefetches into L1 one row on Zen 4 is a fifth to two fifths slower.
void Prefetch(const uint32_t* address) {
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T1);
}

// Queries of a tile in 8 bits: q = scale * value. The quads, [rows / 12][quads][12] words, the last
// group with as many rows as are left, so that the broadcasts of one quad lie side by side, follow
// this head.
struct Queries {
  float scales[kMaxTileRows];
  int32_t starts[kMaxTileRows];  // -128 * the sum of the row's values: what K's bytes have too much

  uint32_t* quads() { return reinterpret_cast<uint32_t*>(this + 1); }
  const uint32_t* quads() const { return reinterpret_cast<const uint32_t*>(this + 1); }
};

void LoadQueries(const AttentionTile& tile, const float* q, size_t token_stride,
                 std::byte* queries) {
  auto* const to = reinterpret_cast<Queries*>(queries);
  const int quads = Quads(tile);
  for (int first = 0; first < tile.rows; first += kMicroRows) {
    const int rows = Min(kMicroRows, tile.rows - first);
    for (int r = 0; r < rows; ++r) {
      const int row = first + r;
      const float* from = q + static_cast<size_t>(row / tile.group) * token_stride +
                          static_cast<size_t>(row % tile.group) * static_cast<size_t>(tile.key_dim);
      QuantizeQuery(from, tile.key_dim, to->quads() + first * quads + r, rows, &to->scales[row],
                    &to->starts[row]);
    }
  }
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

NextRead Ahead(const AttentionTile& tile, const KeyRange& range, int step) {
  const int count = range.count();
  const int ahead = Min(step + 2, 2 * count - 1);
  if (ahead < count) return {Words(range.blocks[ahead], tile.k_offset), true};
  return {Words(range.blocks[ahead - count], tile.v_offset), false};
}

// scores[kRows][16 kVectors] = values of q · values of kᵀ * scale of k, over all quads.
// q: [quads][kRows]; k: [quads][block_tokens], and a line further the scales. ahead: memory to be
// read next, K (kAheadLines 1) or V, which has twice as many words for each quad (kAheadLines 2).
template <int kRows, int kVectors, int kAheadLines>
void Scores(const uint32_t* q, const int32_t* starts, const uint32_t* k, const uint32_t* ahead,
            int quads, int block_tokens, uint32_t* scores) {
  Sums acc[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v)
      acc[r][v] = reinterpret_cast<Sums>(_mm512_set1_epi32(starts[r]));
  }
  for (int d = 0; d < quads; ++d) {
    __m512i keys[kVectors];
    for (int v = 0; v < kVectors; ++v) keys[v] = _mm512_loadu_si512(k + 16 * v);
    for (int v = 0; v < kAheadLines * kVectors; ++v) Prefetch(ahead + 16 * v);
    for (int r = 0; r < kRows; ++r) {
      const __m512i query = _mm512_set1_epi32(static_cast<int>(q[r]));
      for (int v = 0; v < kVectors; ++v) {
        acc[r][v] = reinterpret_cast<Sums>(
            _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(acc[r][v]), keys[v], query));
      }
    }
    q += kRows;
    k += block_tokens;
    ahead += kAheadLines * block_tokens;
  }
  for (int v = 0; v < kVectors; ++v) {
    const __m512 scale = _mm512_loadu_ps(reinterpret_cast<const float*>(k) + 16 * v);
    if (kAheadLines == 1) Prefetch(ahead + 16 * v);
    for (int r = 0; r < kRows; ++r) {
      _mm512_store_ps(
          scores + r * kRowWords + 16 * v,
          _mm512_mul_ps(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(acc[r][v])), scale));
    }
  }
}

template <int kRows>
void AllScores(const AttentionTile& tile, const KeyRange& range, const uint32_t* q,
               const int32_t* starts, uint32_t* scores) {
  const int quads = Quads(tile);
  for (int key = 0, block = 0; key < range.keys; key += range.block_tokens, ++block) {
    const uint32_t* k = Words(range.blocks[block], tile.k_offset);
    const NextRead ahead = Ahead(tile, range, block);
    const int end = Min(range.block_tokens, range.keys - key);
    if (range.block_tokens == 16) {
      const auto scores_of = ahead.is_keys ? Scores<kRows, 1, 1> : Scores<kRows, 1, 2>;
      scores_of(q, starts, k, ahead.words, quads, 16, scores + key);
      continue;
    }
    const auto scores_of = ahead.is_keys ? Scores<kRows, 2, 1> : Scores<kRows, 2, 2>;
    for (int i = 0; i < end; i += 32) {
      scores_of(q, starts, k + i, ahead.words + (ahead.is_keys ? i : 2 * i), quads,
                range.block_tokens, scores + key + i);
    }
  }
}

// Turns a row's scores, f32, into probabilities = bf16(exp(scale * (score - top))) of the keys that
// it sees, top their largest score, and 0 for the others up to `keys` rounded up to 16; returns
// their sum: lane i of 16 adds the keys ≡ i mod 16 in ascending order, then the lanes come
// together. The sum is of the rounded values, so that the weights of V add up to 1. kFromStart:
// seen.begin is 0, as it is without a window.
template <bool kFromStart>
float Softmax(uint32_t* row, const SeenKeys& seen, int keys, float scale, float* largest) {
  const int whole = seen.end / 16 * 16;
  const __mmask16 rest = static_cast<__mmask16>((1U << (seen.end % 16)) - 1U);
  const int begin = kFromStart ? 0 : seen.begin / 16 * 16;
  // Of the vector at `begin`.
  const __mmask16 tail = static_cast<__mmask16>(0xFFFFU << (kFromStart ? 0 : seen.begin % 16));
  const auto mask_at = [&](int i) {
    const __mmask16 mask = i < whole ? static_cast<__mmask16>(0xFFFF)
                                     : (i == whole ? rest : static_cast<__mmask16>(0));
    return kFromStart || i != begin ? mask : static_cast<__mmask16>(mask & tail);
  };
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  __m512 top = lowest;
  int unmasked = begin;
  if (!kFromStart && begin < whole) {
    top = _mm512_mask_load_ps(lowest, tail, row + begin);
    unmasked += 16;
  }
  for (int i = unmasked; i < whole; i += 16) top = _mm512_max_ps(top, _mm512_load_ps(row + i));
  if (rest != 0) top = _mm512_max_ps(top, _mm512_mask_load_ps(lowest, mask_at(whole), row + whole));
  *largest = _mm512_reduce_max_ps(top);

  const __m512 offset = _mm512_set1_ps(*largest);
  const __m512 factor = _mm512_set1_ps(scale);
  __m512 sum = _mm512_setzero_ps();
  __m256i* to = reinterpret_cast<__m256i*>(row);
  for (int i = 0; i < begin; i += 16, ++to) _mm256_store_si256(to, _mm256_setzero_si256());
  for (int i = begin; i < keys; i += 16, ++to) {
    const __mmask16 mask = mask_at(i);
    const __m512 x = _mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(row + i), offset), factor);
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
  const int value_dim = tile.value_dim;
  for (int key = 0, block = 0; key < range.keys; key += range.block_tokens, ++block) {
    const uint32_t* values = Words(range.blocks[block], tile.v_offset) + dimension;
    const uint32_t* ahead = Ahead(tile, range, range.count() + block).words + dimension;
    const int pairs = (Min(range.block_tokens, range.keys - key) + 1) / 2;
    for (int j = 0; j < pairs; ++j) {
      __m512bh vectors[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        vectors[v] = AsPairs(kPartial ? _mm512_maskz_loadu_epi32(mask, values)
                                      : _mm512_loadu_si512(values + 16 * v));
        Prefetch(ahead + 16 * v);
      }
      for (int r = 0; r < kRows; ++r) {
        const __m512bh p = Broadcast(probabilities[r * kRowWords + j]);
        for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], vectors[v], p);
      }
      values += value_dim;
      ahead += value_dim;
    }
    probabilities += range.block_tokens / 2;
  }
  for (int r = 0; r < kRows; ++r) {
    float* to = out + r * value_dim + dimension;
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
  for (; d + 64 <= tile.value_dim; d += 64) {
    Values<kRows, 4, false>(tile, range, d, 0, probabilities, out);
  }
  for (; d + 16 <= tile.value_dim; d += 16) {
    Values<kRows, 1, false>(tile, range, d, 0, probabilities, out);
  }
  if (d < tile.value_dim) {
    const __mmask16 mask = static_cast<__mmask16>((1U << (tile.value_dim - d)) - 1U);
    Values<kRows, 1, true>(tile, range, d, mask, probabilities, out);
  }
}

using ScoresFunction = void (*)(const AttentionTile&, const KeyRange&, const uint32_t*,
                                const int32_t*, uint32_t*);
constexpr ScoresFunction kScores[kMicroRows + 1] = {
    nullptr,       AllScores<1>,  AllScores<2>, AllScores<3>, AllScores<4>,
    AllScores<5>,  AllScores<6>,  AllScores<7>, AllScores<8>, AllScores<9>,
    AllScores<10>, AllScores<11>, AllScores<12>};
using ValuesFunction = void (*)(const AttentionTile&, const KeyRange&, const uint32_t*, float*);
constexpr ValuesFunction kValues[kValueRows + 1] = {
    nullptr, AllValues<1>, AllValues<2>, AllValues<3>, AllValues<4>, AllValues<5>, AllValues<6>};

void Attend(const AttentionTile& tile, int partition, const AttentionState& part) {
  Workspace work;
  const auto& queries = *reinterpret_cast<const Queries*>(tile.queries);
  for (int first = 0; first < tile.rows; first += kMicroRows) {
    const int rows = Min(kMicroRows, tile.rows - first);
    const KeySpan span = KeysSeen(tile, partition, first, rows);
    if (span.count <= 0) continue;
    const KeyRange range = {tile.blocks + span.start / tile.block_tokens, tile.block_tokens,
                            span.count};
    kScores[rows](tile, range, queries.quads() + first * Quads(tile), queries.starts + first,
                  work.rows[0]);
    for (int r = 0; r < rows; ++r) {
      const int row = first + r;
      float scale = queries.scales[row];
      if (tile.soft_cap != 0.0F) {
        avx512::CapScores(reinterpret_cast<float*>(work.rows[r]), (range.keys + 15) / 16 * 16,
                          tile.scale * scale, tile.soft_cap);
        scale = 1.0F;
      }
      const SeenKeys seen = SeenBy(tile, row, span);
      const float factor = tile.state_scale * scale;
      float largest;
      part.sum[row] = seen.begin == 0
                          ? Softmax<true>(work.rows[r], seen, range.keys, factor, &largest)
                          : Softmax<false>(work.rows[r], seen, range.keys, factor, &largest);
      part.maximum[row] = largest * scale;
    }
    for (int r = 0; r < rows; r += kValueRows) {
      kValues[Min(kValueRows, rows - r)](tile, range, work.rows[r],
                                         part.out + (first + r) * tile.value_dim);
    }
  }
}

void Combine(const AttentionTile& tile, int partition, const AttentionState& part,
             const AttentionState& total) {
  for (int r = 0; r < tile.rows; ++r) {
    if (!Sees(tile, r, partition)) continue;
    const float top = part.maximum[r] > total.maximum[r] ? part.maximum[r] : total.maximum[r];
    const __m512 old_weight = Exp16(_mm512_set1_ps((total.maximum[r] - top) * tile.state_scale));
    const __m512 new_weight = Exp16(_mm512_set1_ps((part.maximum[r] - top) * tile.state_scale));
    total.maximum[r] = top;
    total.sum[r] =
        total.sum[r] * _mm512_cvtss_f32(old_weight) + part.sum[r] * _mm512_cvtss_f32(new_weight);
    const float* from = part.out + r * tile.value_dim;
    float* to = total.out + r * tile.value_dim;
    for (int d = 0; d < tile.value_dim; d += 16) {
      const int left = tile.value_dim - d;
      const __mmask16 mask = static_cast<__mmask16>(left >= 16 ? 0xFFFFU : (1U << left) - 1U);
      const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, to + d), old_weight);
      const __m512 sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, from + d), new_weight, scaled);
      _mm512_mask_storeu_ps(to + d, mask, sum);
    }
  }
}

static_assert(sizeof(Queries) == 8 * kMaxTileRows);
// A quad may be padded by 3 bytes.
constexpr AttentionKernel kKernel = {1, 3 + 8, LoadQueries, Attend, Combine};

}  // namespace

namespace avx512 {

void CapScores(float* scores, int count, float scale, float cap) {
  const __m512 factor = _mm512_set1_ps(scale / cap);
  for (int i = 0; i < count; i += 16) {
    const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(scores + i), factor);
    _mm512_storeu_ps(scores + i, _mm512_mul_ps(_mm512_set1_ps(cap), Tanh16(x)));
  }
}

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(kKernel, call, scratch);
}

}  // namespace avx512
}  // namespace reprise

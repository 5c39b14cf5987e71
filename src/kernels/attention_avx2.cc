// Attention with AVX2 and FMA, four rows at a time. Scores: products of bytes, whose sums in pairs
// fit 16 bits as no byte is -128. Values: there are no bf16 products here, so a word with a pair of
// bf16 becomes two f32, by a shift and by a mask, shared by the rows, and takes two fused
// multiply-adds.

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_tile.h"
#include "kernels/exp_lanes.h"
#include "kernels/quantize_head.h"
#include "kernels/simd_avx2.h"

namespace reprise {
namespace {

// 4 rows x 2 vectors of 8 lanes are 8 accumulators; with 4 vectors of expanded pairs and a
// broadcast 13 of the 16 registers.
constexpr int kMicroRows = 4;
constexpr int kLanes = 16;

struct Workspace {
  alignas(32) float scores[kMicroRows][kPartitionTokens];  // then probabilities
};

int Min(int a, int b) { return a < b ? a : b; }

// Rounds to bf16, to nearest, ties to even, keeping f32's form. NaN stays NaN.
__m256 Round(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i raised = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
  const __m256i upper = _mm256_and_si256(raised, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U)));
  return _mm256_blendv_ps(_mm256_castsi256_ps(upper), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

__m256 Even(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
__m256 Odd(__m256i pairs) {
  return _mm256_castsi256_ps(
      _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U))));
}

// The first `count` of 8 lanes.
__m256i FirstLanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

int Quads(const AttentionTile& tile) { return (tile.key_dim + 3) / 4; }

// Queries of a tile in 8 bits: q = scale * value. The values, [rows][quads][4], follow this head.
struct Queries {
  float scales[kMaxTileRows];

  int8_t* values() { return reinterpret_cast<int8_t*>(this + 1); }
  const int8_t* values() const { return reinterpret_cast<const int8_t*>(this + 1); }
};

void LoadQueries(const AttentionTile& tile, const float* q, size_t token_stride,
                 std::byte* queries) {
  auto* const to = reinterpret_cast<Queries*>(queries);
  for (int r = 0; r < tile.rows; ++r) {
    const float* from = q + static_cast<size_t>(r / tile.group) * token_stride +
                        static_cast<size_t>(r % tile.group) * static_cast<size_t>(tile.key_dim);
    int8_t* const values = to->values() + r * 4 * Quads(tile);
    to->scales[r] = QuantizeHead(from, tile.key_dim, values);
    for (int d = tile.key_dim; d < 4 * Quads(tile); ++d) values[d] = 0;
  }
}

// Sums of kRows x kVectors vectors, kept in registers over several calls of Accumulate.
template <int kRows, int kVectors>
struct Sums {
  __m256 at[kRows][kVectors];

  void Clear() {
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) at[r][v] = _mm256_setzero_ps();
    }
  }
};

// sums[rows][8 kVectors] += factors[rows][2 pairs] · data[pairs][stride][2]; ascending, the even
// element of a pair before the odd one. `mask` limits the lanes of the only vector if kPartial.
template <int kRows, int kVectors, bool kPartial>
inline __attribute__((always_inline)) void Accumulate(const float* factors, int factor_stride,
                                                      const uint32_t* data, const uint32_t* ahead,
                                                      int stride, int pairs, __m256i mask,
                                                      Sums<kRows, kVectors>& sums) {
  for (int j = 0; j < pairs; ++j, data += stride, ahead += stride) {
    __m256 even[kVectors];
    __m256 odd[kVectors];
    _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
    for (int v = 0; v < kVectors; ++v) {
      const int* words = reinterpret_cast<const int*>(data) + 8 * v;
      const __m256i pair = kPartial ? _mm256_maskload_epi32(words, mask)
                                    : _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
      even[v] = Even(pair);
      odd[v] = Odd(pair);
    }
    for (int r = 0; r < kRows; ++r) {
      const __m256 a = _mm256_broadcast_ss(factors + r * factor_stride + 2 * j);
      for (int v = 0; v < kVectors; ++v) {
        sums.at[r][v] = _mm256_fmadd_ps(a, even[v], sums.at[r][v]);
      }
      const __m256 b = _mm256_broadcast_ss(factors + r * factor_stride + 2 * j + 1);
      for (int v = 0; v < kVectors; ++v) {
        sums.at[r][v] = _mm256_fmadd_ps(b, odd[v], sums.at[r][v]);
      }
    }
  }
}

// The keys of one micro tile: blocks from the first that it reads on, `keys` of them, a multiple of
// 16.
struct KeyRange {
  std::byte* const* blocks;
  int keys;
};

const uint32_t* Words(std::byte* block, size_t offset) {
  return reinterpret_cast<const uint32_t*>(block + offset);
}

// scores[kRows][keys] = values of q · values of kᵀ * scale of k.
template <int kRows>
void Scores(const AttentionTile& tile, const KeyRange& range, const int8_t* queries,
            float* scores) {
  const int quads = Quads(tile);
  const __m256i zero_byte = _mm256_set1_epi8(static_cast<char>(128));
  const __m256i ones = _mm256_set1_epi16(1);
  for (int key = 0; key < range.keys; key += kLanes) {
    const int block = key / tile.block_tokens;
    const int next = Min(key + tile.block_tokens, range.keys - 1) / tile.block_tokens;
    const int slot = key % tile.block_tokens;
    const uint32_t* k = Words(range.blocks[block], tile.k_offset) + slot;
    const uint32_t* ahead = Words(range.blocks[next], tile.k_offset) + slot;
    __m256i sums[kRows][2];
    for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    for (int d = 0; d < quads; ++d, k += tile.block_tokens, ahead += tile.block_tokens) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
      __m256i keys[2];
      __m256i magnitudes[2];
      for (int v = 0; v < 2; ++v) {
        keys[v] = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(k + 8 * v)),
                                   zero_byte);
        magnitudes[v] = _mm256_abs_epi8(keys[v]);
      }
      for (int r = 0; r < kRows; ++r) {
        int32_t quad;
        __builtin_memcpy(&quad, queries + 4 * (r * quads + d), sizeof(quad));
        const __m256i query = _mm256_set1_epi32(quad);
        for (int v = 0; v < 2; ++v) {
          const __m256i pairs =
              _mm256_maddubs_epi16(magnitudes[v], _mm256_sign_epi8(query, keys[v]));
          sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
    const auto* scales = reinterpret_cast<const float*>(k);  // they follow the last quad
    for (int v = 0; v < 2; ++v) {
      const __m256 scale = _mm256_loadu_ps(scales + 8 * v);
      for (int r = 0; r < kRows; ++r) {
        _mm256_store_ps(scores + r * kPartitionTokens + key + 8 * v,
                        _mm256_mul_ps(_mm256_cvtepi32_ps(sums[r][v]), scale));
      }
    }
  }
}

// out[kRows][8 kVectors] = probabilities · V for the dimensions from `dimension` on.
template <int kRows, int kVectors, bool kPartial>
void Columns(const AttentionTile& tile, const KeyRange& range, const float* probabilities,
             int dimension, float* out) {
  const __m256i mask = FirstLanes(tile.value_dim - dimension);
  Sums<kRows, kVectors> sums;
  sums.Clear();
  for (int key = 0; key < range.keys; key += tile.block_tokens) {
    const int block = key / tile.block_tokens;
    const int next = Min(key + tile.block_tokens, range.keys - 1) / tile.block_tokens;
    Accumulate<kRows, kVectors, kPartial>(probabilities + key, kPartitionTokens,
                                          Words(range.blocks[block], tile.v_offset) + dimension,
                                          Words(range.blocks[next], tile.v_offset) + dimension,
                                          tile.value_dim,
                                          Min(tile.block_tokens, range.keys - key) / 2, mask, sums);
  }
  for (int r = 0; r < kRows; ++r) {
    float* to = out + r * tile.value_dim + dimension;
    for (int v = 0; v < kVectors; ++v) {
      // + 0: a negative product that underflowed is -0, but +0 once keys of probability 0 follow.
      const __m256 sum = _mm256_add_ps(sums.at[r][v], _mm256_setzero_ps());
      if (kPartial) {
        _mm256_maskstore_ps(to, mask, sum);
      } else {
        _mm256_storeu_ps(to + 8 * v, sum);
      }
    }
  }
}

template <int kRows>
void Values(const AttentionTile& tile, const KeyRange& range, const float* probabilities,
            float* out) {
  int d = 0;
  for (; d + 16 <= tile.value_dim; d += 16) {
    Columns<kRows, 2, false>(tile, range, probabilities, d, out);
  }
  for (; d < tile.value_dim; d += 8) Columns<kRows, 1, true>(tile, range, probabilities, d, out);
}

// Lanes of keys i .. i + 7 that a row sees.
__m256 SeenLanes(const SeenKeys& seen, int i) {
  return _mm256_castsi256_ps(
      _mm256_andnot_si256(FirstLanes(seen.begin - i), FirstLanes(seen.end - i)));
}

float Maximum(const float* scores, const SeenKeys& seen) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 top = lowest;
  int i = seen.begin / 8 * 8;
  if (i != seen.begin) {
    top = _mm256_blendv_ps(lowest, _mm256_load_ps(scores + i), SeenLanes(seen, i));
    i += 8;
  }
  for (; i + 8 <= seen.end; i += 8) top = _mm256_max_ps(top, _mm256_load_ps(scores + i));
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, top);
  float maximum = lanes[0];
  for (const float lane : lanes) maximum = lane > maximum ? lane : maximum;
  for (; i < seen.end; ++i) maximum = scores[i] > maximum ? scores[i] : maximum;
  return maximum;
}

// Turns a row's scores into probabilities, 0 for the keys that it does not see; returns their sum:
// each lane's keys in ascending order and then the lanes.
float Softmax(float* row, const SeenKeys& seen, int keys, float scale, float* largest) {
  *largest = Maximum(row, seen);
  const __m256 offset = _mm256_set1_ps(*largest);
  const __m256 factor = _mm256_set1_ps(scale);
  __m256 sum = _mm256_setzero_ps();
  for (int i = 0; i < keys; i += 8) {
    const __m256 x = _mm256_mul_ps(_mm256_sub_ps(_mm256_load_ps(row + i), offset), factor);
    const __m256 p = _mm256_and_ps(SeenLanes(seen, i), Round(Exp(Floats8{x}).v));
    _mm256_store_ps(row + i, p);
    sum = _mm256_add_ps(sum, p);
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, sum);
  float total = 0.0F;
  for (const float lane : lanes) total += lane;
  return total;
}

using ScoresFunction = void (*)(const AttentionTile&, const KeyRange&, const int8_t*, float*);
constexpr ScoresFunction kScores[kMicroRows + 1] = {nullptr, Scores<1>, Scores<2>, Scores<3>,
                                                    Scores<4>};
using ValuesFunction = void (*)(const AttentionTile&, const KeyRange&, const float*, float*);
constexpr ValuesFunction kValues[kMicroRows + 1] = {nullptr, Values<1>, Values<2>, Values<3>,
                                                    Values<4>};

void Attend(const AttentionTile& tile, int partition, const AttentionState& part) {
  Workspace work;
  const auto& queries = *reinterpret_cast<const Queries*>(tile.queries);
  for (int first = 0; first < tile.rows; first += kMicroRows) {
    const int rows = Min(kMicroRows, tile.rows - first);
    const KeySpan span = KeysSeen(tile, partition, first, rows);
    if (span.count <= 0) continue;
    const KeyRange range = {tile.blocks + span.start / tile.block_tokens,
                            (span.count + kLanes - 1) / kLanes * kLanes};
    kScores[rows](tile, range, queries.values() + first * 4 * Quads(tile), work.scores[0]);
    for (int r = 0; r < rows; ++r) {
      const int row = first + r;
      float scale = queries.scales[row];
      if (tile.soft_cap != 0.0F) {
        avx2::CapScores(work.scores[r], range.keys, tile.scale * scale, tile.soft_cap);
        scale = 1.0F;
      }
      float largest;
      part.sum[row] = Softmax(work.scores[r], SeenBy(tile, row, span), range.keys,
                              tile.state_scale * scale, &largest);
      part.maximum[row] = largest * scale;
    }
    kValues[rows](tile, range, work.scores[0], part.out + first * tile.value_dim);
  }
}

void Combine(const AttentionTile& tile, int partition, const AttentionState& part,
             const AttentionState& total) {
  for (int r = 0; r < tile.rows; ++r) {
    if (!Sees(tile, r, partition)) continue;
    const float top = part.maximum[r] > total.maximum[r] ? part.maximum[r] : total.maximum[r];
    const __m256 old_weight = Exp(Floats8::All((total.maximum[r] - top) * tile.state_scale)).v;
    const __m256 new_weight = Exp(Floats8::All((part.maximum[r] - top) * tile.state_scale)).v;
    total.maximum[r] = top;
    total.sum[r] =
        total.sum[r] * _mm256_cvtss_f32(old_weight) + part.sum[r] * _mm256_cvtss_f32(new_weight);
    const float* from = part.out + r * tile.value_dim;
    float* to = total.out + r * tile.value_dim;
    for (int d = 0; d < tile.value_dim; d += 8) {
      const __m256i mask = FirstLanes(tile.value_dim - d);
      const __m256 scaled = _mm256_mul_ps(_mm256_maskload_ps(to + d, mask), old_weight);
      _mm256_maskstore_ps(to + d, mask,
                          _mm256_fmadd_ps(_mm256_maskload_ps(from + d, mask), new_weight, scaled));
    }
  }
}

// A quad may be padded by 3 bytes.
constexpr AttentionKernel kKernel = {1, 3 + sizeof(float), LoadQueries, Attend, Combine};

}  // namespace

namespace avx2 {

void CapScores(float* scores, int count, float scale, float cap) {
  const __m256 factor = _mm256_set1_ps(scale / cap);
  for (int i = 0; i < count; i += 8) {
    const __m256 x = _mm256_mul_ps(_mm256_loadu_ps(scores + i), factor);
    _mm256_storeu_ps(scores + i, _mm256_mul_ps(_mm256_set1_ps(cap), Tanh(Floats8{x}).v));
  }
}

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(kKernel, call, scratch);
}

}  // namespace avx2
}  // namespace reprise

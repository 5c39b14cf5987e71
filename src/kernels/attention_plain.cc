// Attention in plain C++, on K of 8 bits and V of bf16 (namespace plain: the reference for the
// instruction sets) and on f32 (namespace exact).

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/limits.h"
#include "kernels/attention.h"
#include "kernels/attention_tile.h"
#include "kernels/bf16.h"
#include "kernels/exp_plain.h"
#include "kernels/quantize_head.h"
#include "kernels/tanh_plain.h"

namespace reprise {
namespace {

// Rows that share the expansion of K and V to f32; lanes are keys, or dimensions of the output.
constexpr int kMicroRows = 12;
constexpr int kLanes = 16;

struct Bf16 {
  uint16_t bits;
};

float Widen(Bf16 value) { return FromBf16(value.bits); }
float Widen(float value) { return value; }

struct Workspace {
  float scores[kMicroRows][kPartitionTokens];  // then probabilities
  float sums[kMicroRows][kLanes];
};

// Queries of a tile: its values, [rows, key_dim], follow this head. Fast: whole numbers, q = scale
// * value. Exact: q, and scales of 1.
struct Queries {
  float scales[kMaxTileRows];

  float* values() { return reinterpret_cast<float*>(this + 1); }
  const float* values() const { return reinterpret_cast<const float*>(this + 1); }
};

// value[head_dim] and the scale of one head.
float LoadFast(const float* from, int head_dim, float* values) {
  int8_t integers[limits::kMaxHeadDimension];
  const float scale = QuantizeHead(from, head_dim, integers);
  for (int d = 0; d < head_dim; ++d) values[d] = integers[d];
  return scale;
}

float LoadExact(const float* from, int head_dim, float* values) {
  std::memcpy(values, from, static_cast<size_t>(head_dim) * sizeof(float));
  return 1.0F;
}

template <float (*kLoad)(const float*, int, float*)>
void LoadQueries(const AttentionTile& tile, const float* q, size_t token_stride,
                 std::byte* queries) {
  auto* const to = reinterpret_cast<Queries*>(queries);
  for (int r = 0; r < tile.rows; ++r) {
    const float* from = q + static_cast<size_t>(r / tile.group) * token_stride +
                        static_cast<size_t>(r % tile.group) * static_cast<size_t>(tile.key_dim);
    to->scales[r] = kLoad(from, tile.key_dim, to->values() + r * tile.key_dim);
  }
}

// sums[rows][lanes] += factors[rows][2 pairs] · data[pairs][stride][2], of which the first `lanes`
// pairs of each line are taken; ascending.
template <typename Element>
void Accumulate(const float* factors, int factor_stride, int rows, const Element* data, int stride,
                int pairs, int lanes, float (*sums)[kLanes]) {
  for (int j = 0; j < pairs; ++j, data += 2 * stride) {
    float even[kLanes] = {};
    float odd[kLanes] = {};
    for (int i = 0; i < lanes; ++i) {
      even[i] = Widen(data[2 * i]);
      odd[i] = Widen(data[2 * i + 1]);
    }
    for (int r = 0; r < rows; ++r) {
      const float a = factors[r * factor_stride + 2 * j];
      const float b = factors[r * factor_stride + 2 * j + 1];
      for (int i = 0; i < kLanes; ++i) sums[r][i] = (sums[r][i] + a * even[i]) + b * odd[i];
    }
  }
}

// Turns a row's scores into probabilities, 0 for the keys that it does not see; returns their sum,
// each lane's keys in ascending order and then the lanes.
template <typename Element>
float Softmax(float* row, const SeenKeys& seen, int keys, float scale, float* largest) {
  float top = -std::numeric_limits<float>::infinity();
  for (int i = seen.begin; i < seen.end; ++i) top = row[i] > top ? row[i] : top;
  *largest = top;
  for (int i = 0; i < seen.begin; ++i) row[i] = 0.0F;
  for (int i = seen.begin; i < seen.end; ++i) {
    const float probability = ExpPlain((row[i] - top) * scale);
    row[i] = std::is_same_v<Element, Bf16> ? FromBf16(ToBf16(probability)) : probability;
  }
  for (int i = seen.end; i < keys; ++i) row[i] = 0.0F;
  float lanes[kLanes] = {};
  for (int i = 0; i < keys; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += row[i + lane];
  }
  float sum = 0.0F;
  for (const float lane : lanes) sum += lane;
  return sum;
}

template <typename Element>
const Element* At(std::byte* block, size_t offset) {
  return reinterpret_cast<const Element*>(block + offset);
}

// sums[rows][lanes] = values of q · values of K * scale of K, for the keys of a block from `slot`
// on. Sums of whole numbers are exact in f32 up to head_dim 1,024.
void FastScores(const AttentionTile& tile, std::byte* block, int slot, const float* queries,
                int rows, float (*sums)[kLanes]) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(block + tile.k_offset) + 4 * slot;
  for (int d = 0; d < tile.key_dim; ++d) {
    const uint8_t* at = bytes + d / 4 * 4 * tile.block_tokens + d % 4;
    float key[kLanes];
    for (int i = 0; i < kLanes; ++i) key[i] = static_cast<float>(at[4 * i] - 128);
    for (int r = 0; r < rows; ++r) {
      const float query = queries[r * tile.key_dim + d];
      for (int i = 0; i < kLanes; ++i) sums[r][i] += query * key[i];
    }
  }
  const float* scales = At<float>(block, tile.k_offset + tile.key_scales_offset) + slot;
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < kLanes; ++i) sums[r][i] *= scales[i];
  }
}

void ExactScores(const AttentionTile& tile, std::byte* block, int slot, const float* queries,
                 int rows, float (*sums)[kLanes]) {
  Accumulate(queries, tile.key_dim, rows, At<float>(block, tile.k_offset) + 2 * slot,
             tile.block_tokens, tile.key_dim / 2, kLanes, sums);
}

using ScoresFunction = void (*)(const AttentionTile& tile, std::byte* block, int slot,
                                const float* queries, int rows, float (*sums)[kLanes]);

// work.scores of `keys` keys (a multiple of kLanes).
template <ScoresFunction kScores>
void Scores(const AttentionTile& tile, std::byte* const* blocks, const float* queries, int rows,
            int keys, Workspace& work) {
  for (int key = 0; key < keys; key += kLanes) {
    std::memset(work.sums, 0, sizeof(work.sums));
    kScores(tile, blocks[key / tile.block_tokens], key % tile.block_tokens, queries, rows,
            work.sums);
    for (int r = 0; r < rows; ++r) {
      std::memcpy(work.scores[r] + key, work.sums[r], sizeof(work.sums[r]));
    }
  }
}

// out[rows, value_dim] = probabilities · V
template <typename Element>
void Values(const AttentionTile& tile, std::byte* const* blocks, int rows, int keys,
            Workspace& work, float* out) {
  for (int d = 0; d < tile.value_dim; d += kLanes) {
    const int lanes = tile.value_dim - d < kLanes ? tile.value_dim - d : kLanes;
    std::memset(work.sums, 0, sizeof(work.sums));
    for (int key = 0; key < keys; key += tile.block_tokens) {
      const int left = keys - key < tile.block_tokens ? keys - key : tile.block_tokens;
      const Element* v = At<Element>(blocks[key / tile.block_tokens], tile.v_offset) + 2 * d;
      Accumulate(work.scores[0] + key, kPartitionTokens, rows, v, tile.value_dim, left / 2, lanes,
                 work.sums);
    }
    for (int r = 0; r < rows; ++r) {
      for (int i = 0; i < lanes; ++i) out[r * tile.value_dim + d + i] = work.sums[r][i];
    }
  }
}

template <typename Element, ScoresFunction kScores>
void Attend(const AttentionTile& tile, int partition, const AttentionState& part) {
  Workspace work;
  const auto& queries = *reinterpret_cast<const Queries*>(tile.queries);
  for (int first = 0; first < tile.rows; first += kMicroRows) {
    const int rows = tile.rows - first < kMicroRows ? tile.rows - first : kMicroRows;
    const KeySpan span = KeysSeen(tile, partition, first, rows);
    if (span.count <= 0) continue;
    std::byte* const* blocks = tile.blocks + span.start / tile.block_tokens;
    const int keys = (span.count + kLanes - 1) / kLanes * kLanes;
    Scores<kScores>(tile, blocks, queries.values() + first * tile.key_dim, rows, keys, work);
    for (int r = 0; r < rows; ++r) {
      const int row = first + r;
      float scale = queries.scales[row];
      if (tile.soft_cap != 0.0F) {
        plain::CapScores(work.scores[r], keys, tile.scale * scale, tile.soft_cap);
        scale = 1.0F;
      }
      float largest;
      part.sum[row] = Softmax<Element>(work.scores[r], SeenBy(tile, row, span), keys,
                                       tile.state_scale * scale, &largest);
      part.maximum[row] = largest * scale;
    }
    Values<Element>(tile, blocks, rows, keys, work, part.out + first * tile.value_dim);
  }
}

void Combine(const AttentionTile& tile, int partition, const AttentionState& part,
             const AttentionState& total) {
  for (int r = 0; r < tile.rows; ++r) {
    if (!Sees(tile, r, partition)) continue;
    const float top = part.maximum[r] > total.maximum[r] ? part.maximum[r] : total.maximum[r];
    const float old_weight = ExpPlain((total.maximum[r] - top) * tile.state_scale);
    const float new_weight = ExpPlain((part.maximum[r] - top) * tile.state_scale);
    total.maximum[r] = top;
    total.sum[r] = total.sum[r] * old_weight + part.sum[r] * new_weight;
    const float* from = part.out + r * tile.value_dim;
    float* to = total.out + r * tile.value_dim;
    for (int d = 0; d < tile.value_dim; ++d) to[d] = to[d] * old_weight + from[d] * new_weight;
  }
}

constexpr AttentionKernel kPlainKernel = {sizeof(float), sizeof(float), LoadQueries<LoadFast>,
                                          Attend<Bf16, FastScores>, Combine};
constexpr AttentionKernel kExactKernel = {sizeof(float), sizeof(float), LoadQueries<LoadExact>,
                                          Attend<float, ExactScores>, Combine};

}  // namespace

namespace plain {

void CapScores(float* scores, int count, float scale, float cap) {
  const float factor = scale / cap;
  for (int i = 0; i < count; ++i) scores[i] = cap * TanhPlain(scores[i] * factor);
}

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(kPlainKernel, call, scratch);
}

}  // namespace plain

namespace exact {

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(kExactKernel, call, scratch);
}

}  // namespace exact
}  // namespace reprise

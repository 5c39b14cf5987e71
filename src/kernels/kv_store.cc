// Scatters rows of K and V into blocks. Portable code for all instruction sets: a chunk of 1,024
// rows is less than 1 % of the products of its layer.

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "base/limits.h"
#include "kernels/attention.h"
#include "kernels/bf16.h"
#include "kernels/fork.h"
#include "kernels/quantize_head.h"

namespace reprise {
namespace {

// Elements of K and V, on average, of one sequence below which it stays on one thread.
constexpr size_t kForkElements = 64 * 1024;

// One token's K of one head in 8 bits: quads of dimensions, `block_tokens` quads apart.
void StoreKey(const KvLayout& layout, const float* k, int slot, std::byte* head) {
  int8_t values[limits::kMaxHeadDimension];
  const float scale =
      QuantizeHead(k, layout.key_dim, values) / static_cast<float>(RotationSize(layout.key_dim));
  auto* const bytes = reinterpret_cast<uint8_t*>(head) + 4 * slot;
  for (int d = 0; d < (layout.key_dim + 3) / 4 * 4; ++d) {
    bytes[d / 4 * 4 * layout.block_tokens + d % 4] =
        static_cast<uint8_t>(128 + (d < layout.key_dim ? values[d] : 0));
  }
  reinterpret_cast<float*>(head + layout.key_scales_offset())[slot] = scale;
}

// The same in f32: pairs of dimensions, `block_tokens` pairs apart.
void StoreExactKey(const KvLayout& layout, const float* k, int slot, std::byte* head) {
  float* to = reinterpret_cast<float*>(head) + 2 * slot;
  for (int d = 0; d < layout.key_dim; d += 2, to += 2 * layout.block_tokens) {
    to[0] = k[d];
    to[1] = k[d + 1];
  }
}

void Store(float value, uint16_t* to) { *to = ToBf16(value); }
void Store(float value, float* to) { *to = value; }

// One token's V of one head: every second element of the line that it shares with its neighbour.
template <typename Element>
void StoreValue(const KvLayout& layout, const float* v, int slot, std::byte* head) {
  Element* to = reinterpret_cast<Element*>(head) +
                static_cast<size_t>(slot / 2) * static_cast<size_t>(2 * layout.value_dim) +
                slot % 2;
  for (int d = 0; d < layout.value_dim; ++d) Store(v[d], to + 2 * d);
}

void StoreRow(const KvLayout& layout, int layer, const float* k, const float* v,
              const SequenceSpan& sequence, int row) {
  const int position = sequence.first_position + row;
  const int slot = position % layout.block_tokens;
  std::byte* block = sequence.blocks[static_cast<size_t>(position / layout.block_tokens)];
  const auto heads = static_cast<size_t>(layout.kv_heads);
  const size_t first = static_cast<size_t>(sequence.first_row + row) * heads;
  k += first * static_cast<size_t>(layout.key_dim);
  v += first * static_cast<size_t>(layout.value_dim);
  for (int head = 0; head < layout.kv_heads; ++head, k += layout.key_dim, v += layout.value_dim) {
    std::byte* const keys = block + layout.k_offset(layer, head);
    std::byte* const values = block + layout.v_offset(layer, head);
    if (layout.encoding == KvEncoding::kFast) {
      StoreKey(layout, k, slot, keys);
      StoreValue<uint16_t>(layout, v, slot, values);
    } else {
      StoreExactKey(layout, k, slot, keys);
      StoreValue<float>(layout, v, slot, values);
    }
  }
}

}  // namespace

void StoreKv(ThreadPool& pool, const KvLayout& layout, int layer, const float* k, const float* v,
             std::span<const SequenceSpan> sequences) {
  CHECK(layout.key_dim <= limits::kMaxHeadDimension, "a head of K fits its buffer");
  for (const SequenceSpan& sequence : sequences) {
    if (sequence.rows == 0) continue;
    const int last = sequence.first_position + sequence.rows - 1;
    CHECK(sequence.blocks.size() > static_cast<size_t>(last / layout.block_tokens),
          "blocks exist up to the last position");
    const size_t elements =
        static_cast<size_t>(sequence.rows) *
        static_cast<size_t>(layout.kv_heads * (layout.key_dim + layout.value_dim) / 2);
    ForEach(pool, sequence.rows, 1, elements >= kForkElements,
            [&](int64_t row) { StoreRow(layout, layer, k, v, sequence, static_cast<int>(row)); });
  }
}

}  // namespace reprise

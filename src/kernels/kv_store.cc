// Scatters rows of K and V into blocks. Portable code for all instruction sets: a chunk of 1,024
// rows is less than 1 % of the products of its layer.

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "kernels/attention.h"
#include "kernels/bf16.h"

namespace reprise {
namespace {

// Elements of one call below which it stays on one thread.
constexpr size_t kForkElements = 64 * 1024;

void Store(float value, uint16_t* to) { *to = ToBf16(value); }
void Store(float value, float* to) { *to = value; }

// One token's K of one head: pairs of dimensions, `block_tokens` pairs apart.
template <typename Element>
void StoreKey(const float* k, int head_dim, int block_tokens, int slot, Element* block) {
  Element* to = block + 2 * slot;
  for (int d = 0; d < head_dim; d += 2, to += 2 * block_tokens) {
    Store(k[d], to);
    Store(k[d + 1], to + 1);
  }
}

// One token's V of one head: every second element of the line that it shares with its neighbour.
template <typename Element>
void StoreValue(const float* v, int head_dim, int slot, Element* block) {
  Element* to =
      block + static_cast<size_t>(slot / 2) * static_cast<size_t>(2 * head_dim) + slot % 2;
  for (int d = 0; d < head_dim; ++d) Store(v[d], to + 2 * d);
}

template <typename Element>
void StoreRow(const KvLayout& layout, int layer, const float* k, const float* v,
              const SequenceSpan& sequence, int row) {
  const int position = sequence.first_position + row;
  const int slot = position % layout.block_tokens;
  std::byte* block = sequence.blocks[static_cast<size_t>(position / layout.block_tokens)];
  for (int head = 0; head < layout.kv_heads; ++head) {
    const size_t offset =
        (static_cast<size_t>(sequence.first_row + row) * static_cast<size_t>(layout.kv_heads) +
         static_cast<size_t>(head)) *
        static_cast<size_t>(layout.head_dim);
    StoreKey(k + offset, layout.head_dim, layout.block_tokens, slot,
             reinterpret_cast<Element*>(block + layout.k_offset(layer, head)));
    StoreValue(v + offset, layout.head_dim, slot,
               reinterpret_cast<Element*>(block + layout.v_offset(layer, head)));
  }
}

}  // namespace

void StoreKv(const KvLayout& layout, int layer, const float* k, const float* v,
             std::span<const SequenceSpan> sequences) {
  for (const SequenceSpan& sequence : sequences) {
    if (sequence.rows == 0) continue;
    const int last = sequence.first_position + sequence.rows - 1;
    CHECK(sequence.blocks.size() > static_cast<size_t>(last / layout.block_tokens),
          "blocks exist up to the last position");
    const size_t elements =
        static_cast<size_t>(sequence.rows) * static_cast<size_t>(layout.kv_heads * layout.head_dim);
    const auto store = [&](int row) {
      if (layout.element == KvElement::kBf16) {
        StoreRow<uint16_t>(layout, layer, k, v, sequence, row);
      } else {
        StoreRow<float>(layout, layer, k, v, sequence, row);
      }
    };
    if (elements < kForkElements) {
      for (int row = 0; row < sequence.rows; ++row) store(row);
      continue;
    }
#pragma omp parallel for schedule(static)
    for (int row = 0; row < sequence.rows; ++row) store(row);
  }
}

}  // namespace reprise

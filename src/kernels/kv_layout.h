#pragma once

// Where a token's K and V lie inside a block. A block holds the K and V of `block_tokens`
// consecutive positions, for all layers and all KV heads. To everyone but the kernels it is opaque
// bytes of block_bytes().
//
// Layer l starts at l * layer_bytes(); within a layer come the heads' K, then the heads' V:
//   K of one head: [head_dim / 2][block_tokens][2]   (keys side by side: a score per lane)
//   V of one head: [block_tokens / 2][head_dim][2]   (pairs of keys side by side: an output per
//   lane)
// in bf16, so that one vdpbf16ps takes a pair; with KvElement::kF32 (compute exact) the same order
// of elements in f32.
//
// Immutable after load; any thread.

#include <cstddef>
#include <cstdint>

namespace reprise {

enum class KvElement : uint8_t { kBf16, kF32 };

struct KvLayout {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;  // even
  int block_tokens = 32;
  KvElement element = KvElement::kBf16;

  size_t element_bytes() const { return element == KvElement::kBf16 ? 2 : 4; }
  // K, or V, of one head in one block.
  size_t head_bytes() const {
    return static_cast<size_t>(head_dim) * static_cast<size_t>(block_tokens) * element_bytes();
  }
  size_t layer_bytes() const { return 2 * static_cast<size_t>(kv_heads) * head_bytes(); }
  size_t block_bytes() const { return static_cast<size_t>(layers) * layer_bytes(); }
  size_t bytes_per_token() const { return block_bytes() / static_cast<size_t>(block_tokens); }

  size_t k_offset(int layer, int kv_head) const {
    return static_cast<size_t>(layer) * layer_bytes() + static_cast<size_t>(kv_head) * head_bytes();
  }
  size_t v_offset(int layer, int kv_head) const {
    return k_offset(layer, kv_head) + static_cast<size_t>(kv_heads) * head_bytes();
  }
};

}  // namespace reprise

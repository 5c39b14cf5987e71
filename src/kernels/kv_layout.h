#pragma once

// Where a token's K and V lie inside a block. A block holds the K and V of `block_tokens`
// consecutive positions, for all layers that have attention and all KV heads. To everyone but the
// kernels it is opaque bytes of block_bytes().
//
// Layer l starts at l * layer_bytes(); within a layer come the heads' K, then the heads' V.
//
//   K of one head  KvEncoding::kFast   [quads][block_tokens][4] bytes, then [block_tokens] f32:
//                                      element = scale * (byte - 128), one scale for each token;
//                                      quads = key_dim / 4 rounded up, padded with 128
//                  KvEncoding::kExact  [key_dim / 2][block_tokens][2] f32
//   V of one head  kFast bf16, kExact f32   [block_tokens / 2][value_dim][2]
//
// So keys lie side by side (a score per lane) and one vpdpbusd takes a quad of dimensions; pairs of
// values lie side by side (an output per lane) and one vdpbf16ps takes a pair. Why K has 8 bits and
// V has 16: docs/design/numerics.md.
//
// Immutable after load; any thread.

#include <cstddef>
#include <cstdint>

namespace reprise {

enum class KvEncoding : uint8_t { kFast, kExact };

struct KvLayout {
  int layers = 0;  // that have attention
  int kv_heads = 0;
  int key_dim = 0;    // dimensions of a head of K (and of q), even
  int value_dim = 0;  // of a head of V
  int block_tokens = 32;
  KvEncoding encoding = KvEncoding::kFast;

  // K, and V, of one head in one block.
  size_t key_bytes() const {
    return encoding == KvEncoding::kFast ? key_scales_offset() + Tokens(sizeof(float))
                                         : Tokens(sizeof(float)) * static_cast<size_t>(key_dim);
  }
  size_t value_bytes() const {
    return Tokens(encoding == KvEncoding::kFast ? sizeof(uint16_t) : sizeof(float)) *
           static_cast<size_t>(value_dim);
  }
  size_t layer_bytes() const {
    return static_cast<size_t>(kv_heads) * (key_bytes() + value_bytes());
  }
  size_t block_bytes() const { return static_cast<size_t>(layers) * layer_bytes(); }
  size_t bytes_per_token() const { return block_bytes() / static_cast<size_t>(block_tokens); }

  size_t k_offset(int layer, int kv_head) const {
    return static_cast<size_t>(layer) * layer_bytes() + static_cast<size_t>(kv_head) * key_bytes();
  }
  size_t v_offset(int layer, int kv_head) const {
    return static_cast<size_t>(layer) * layer_bytes() +
           static_cast<size_t>(kv_heads) * key_bytes() +
           static_cast<size_t>(kv_head) * value_bytes();
  }
  // kFast: from a head's K to its scales.
  size_t key_scales_offset() const { return Tokens(4) * static_cast<size_t>((key_dim + 3) / 4); }

 private:
  size_t Tokens(size_t bytes) const { return static_cast<size_t>(block_tokens) * bytes; }
};

}  // namespace reprise

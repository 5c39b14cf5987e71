#pragma once

// Reads the storage blocks of GGUF's quantised types as what they have in common: groups of 32
// consecutive weights of a row (16 for Q6_K), each weight an unsigned integer q, and
//
//     w = d * (q - zero)     types without an offset (Q4_0, Q5_0, Q8_0, Q6_K)
//     w = d * q + m          types with one (Q4_1, Q5_1, Q4_K, Q5_K)
//
// Plain C++, the reference for everything else; packing and Dequantize are written against it.
// Source of the formats: ggml-quants.c of ggml-org/llama.cpp and the `gguf` Python package.
// Stateless; any thread.

#include <cstddef>
#include <cstdint>

#include "kernels/operations.h"

namespace reprise {

struct GroupFormat {
  int bits = 0;   // of q: 4, 5, 6 or 8; 0: not a quantised type
  int group = 0;  // weights that share d and m: 32 or 16
  int zero = 0;
  bool offset = false;
};

struct WeightGroup {
  uint8_t q[32];
  float d;  // f32 product of the block's factors, rounded once
  float m;  // 0 for types without an offset
};

GroupFormat GroupFormatOf(WeightType type);

// Group number `index` of a row that starts at `row`. REQUIRES: a quantised type.
void ReadGroup(WeightType type, const std::byte* row, int64_t index, WeightGroup& out);

}  // namespace reprise

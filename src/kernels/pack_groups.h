#pragma once

// Reads the storage blocks of GGUF's quantised types as what they have in common: groups of 32 or
// 16 consecutive weights of a row, each weight an unsigned integer q of some bits, and
//
//     w = d * (q - zero)      symmetric types
//     w = d * q + m           types with an offset
//     w = d * codebook[q]     types whose weights are chosen from a list of 16 integers or fewer
//
// weight_types.cc says which type is what. Plain C++, the reference for everything else; packing
// and Dequantize are written against it.
// Source of the formats: ggml-quants.c of ggml-org/llama.cpp and the `gguf` Python package.
// Stateless; any thread.

#include <cstddef>
#include <cstdint>

#include "kernels/operations.h"

namespace reprise {

struct GroupFormat {
  int bits = 0;   // of q: 2, 3, 4, 5, 6 or 8; 0: not a quantised type
  int group = 0;  // weights that share d and m: 32 or 16
  int zero = 0;
  bool offset = false;
  const int8_t* codebook = nullptr;  // [16], for ever; none is -128. Null: q is the integer
  bool wide_factors = false;         // d may have any exponent of f32
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

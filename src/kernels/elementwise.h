#pragma once

// The operations of a forward pass that are not products: norm, rotary embedding, activation,
// residual sum; one implementation per instruction set. Parameters as in class Operations, which
// operations.cc puts in front of them. For Compute::kExact take `plain`: it rounds nothing below
// f32.
//
// Each row (of Rope, RmsNorm) or element depends only on its own input, in a fixed order. Forked
// over omp_get_max_threads() of the calling thread only where the work pays for the fork.
// Any thread, but for RopeCache: one caller at a time.

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "kernels/operations.h"

namespace reprise {

// Cosines and sines of the rows of one Rope call.
struct RopeAngles {
  RopePairing pairing = RopePairing::kAdjacent;
  int half = 0;                        // rotary_dim / 2
  const float* const* rows = nullptr;  // rows[r]: cos[half], then sin[half]
};

// Cosines and sines by position, computed once in double precision and kept (pages of positions,
// only those that occur; 8 bytes a position and frequency). Keyed on the table's contents: another
// table empties it. Operations owns one:
//
//   void Rope(float* x, int rows, int heads, int head_dim, const RopeTable& table,
//             std::span<const int> positions) override {
//     avx512::Rope(x, rows, heads, head_dim, rope_cache_.Lookup(table, positions));
//   }
class RopeCache {
 public:
  // Valid until the next Lookup. REQUIRES: positions ≥ 0.
  RopeAngles Lookup(const RopeTable& table, std::span<const int> positions);

 private:
  const float* Row(int position);

  RopeTable table_;
  std::vector<std::unique_ptr<float[]>> pages_;  // kPagePositions x [2][half]
  std::vector<const float*> rows_;
};

// RmsNorm: out[rows, columns] = x / sqrt(mean(x²) + epsilon) * weight; out may be x.
// Rope: rotates x[rows, heads, head_dim] in place; REQUIRES: 2 * angles.half ≤ head_dim.
// SwiGlu: gate[i] = silu(gate[i]) * up[i].   Add: x[i] += y[i].
// Exp: out[i] = e^x[i] within 2 ulp (results below the smallest normal may be 0; e^-inf is 0, NaN
// stays NaN): the very function inside SwiGlu and Attention, shown for its test.
namespace avx512 {
void RmsNorm(const float* x, int rows, int columns, const float* weight, float epsilon, float* out);
void Rope(float* x, int rows, int heads, int head_dim, const RopeAngles& angles);
void SwiGlu(float* gate, const float* up, size_t count);
void Add(float* x, const float* y, size_t count);
void Exp(const float* x, size_t count, float* out);
}  // namespace avx512
namespace avx2 {
void RmsNorm(const float* x, int rows, int columns, const float* weight, float epsilon, float* out);
void Rope(float* x, int rows, int heads, int head_dim, const RopeAngles& angles);
void SwiGlu(float* gate, const float* up, size_t count);
void Add(float* x, const float* y, size_t count);
void Exp(const float* x, size_t count, float* out);
}  // namespace avx2
namespace plain {
void RmsNorm(const float* x, int rows, int columns, const float* weight, float epsilon, float* out);
void Rope(float* x, int rows, int heads, int head_dim, const RopeAngles& angles);
void SwiGlu(float* gate, const float* up, size_t count);
void Add(float* x, const float* y, size_t count);
void Exp(const float* x, size_t count, float* out);
}  // namespace plain

}  // namespace reprise

#pragma once

// The operations of a forward pass that are not products: norms, rotary embedding, activation,
// residual sum, scale and cap. Each instruction set supplies the work on one row or slice
// (ElementwiseKernels); the functions below cut and fork it, but for the activation, which the
// products of a feed-forward layer take in (product_driver.h). Parameters as in class Operations,
// which operations.cc puts in front of them. For Compute::kExact take `plain`: it rounds nothing
// below f32.
//
// Each row (of Rope and the norms) or element depends only on its own input, in a fixed order.
// Shared among the threads of `pool` only where the work pays for the fork.
// Any thread, but for RopeCache: one caller at a time.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/operations.h"
#include "kernels/thread_pool.h"

namespace reprise {

// Cosines and sines of the rows of one Rope call.
struct RopeAngles {
  RopePairing pairing = RopePairing::kAdjacent;
  int half = 0;                        // rotary_dim / 2
  const float* const* rows = nullptr;  // rows[r]: cos[half], then sin[half]
};

// Cosines and sines by position, computed once in double precision and kept (pages of positions,
// only those that occur; 8 bytes a position and frequency), for each of the last kTables tables
// (models have one for layers with a window and one for the others), told apart by their contents.
// Operations owns one.
class RopeCache {
 public:
  static constexpr size_t kTables = 8;

  // Valid until the next Lookup. REQUIRES: positions ≥ 0.
  RopeAngles Lookup(const RopeTable& table, std::span<const int> positions);

 private:
  struct Angles {
    RopeTable table;
    std::vector<std::unique_ptr<float[]>> pages;  // kPagePositions x [2][half]
  };

  static const float* Row(Angles& angles, int position);

  std::vector<Angles> tables_;  // the last one used first
  std::vector<const float*> rows_;
};

// On one thread; forks nothing.
struct ElementwiseKernels {
  void (*norm_row)(const float* x, int columns, const float* weight, float epsilon, float* out);
  // One head; angles: cos[half], then sin[half].
  void (*rotate_adjacent)(float* x, const float* angles, int half);
  void (*rotate_halves)(float* x, const float* angles, int half);
  // gate[i] = act(gate[i]) * up[i], where kClampedSilu adds 1 to up; NaN stays NaN.
  void (*activate_gated)(Activation activation, float* gate, const float* up, int64_t count);
  // x[i] = act(x[i]). REQUIRES: not kClampedSilu.
  void (*activate)(Activation activation, float* x, int64_t count);
  void (*add)(float* x, const float* y, int64_t count);
  // out[i] = e^x[i] within 2 ulp (results below the smallest normal may be 0; e^-inf is 0, NaN
  // stays NaN): the very function inside activations and attention, shown for its test.
  void (*exp)(const float* x, int64_t count, float* out);
};

namespace avx512 {
extern const ElementwiseKernels kElementwise;
}
namespace avx2 {
extern const ElementwiseKernels kElementwise;
}
namespace plain {
extern const ElementwiseKernels kElementwise;
}

// out[rows, columns] = x / sqrt(mean(x²) + epsilon) * weight; out may be x.
void RmsNorm(ThreadPool& pool, const ElementwiseKernels& kernels, const float* x, int rows,
             int columns, const float* weight, float epsilon, float* out);
// The parameters of Operations::LayerNorm, Scale and SoftCap, and the same bits on every
// instruction set: in plain C++, because they are few or wait for memory. LayerNorm sums in
// doubles.
void LayerNorm(ThreadPool& pool, const float* x, int rows, int columns, const float* weight,
               const float* bias, float epsilon, float* out);
void Scale(ThreadPool& pool, float* x, float factor, size_t count);
void SoftCap(ThreadPool& pool, float* x, float cap, size_t count);
// Rotates x[rows, heads, head_dim] in place. REQUIRES: 2 * angles.half ≤ head_dim.
void Rope(ThreadPool& pool, const ElementwiseKernels& kernels, float* x, int rows, int heads,
          int head_dim, const RopeAngles& angles);
// x[i] += y[i].
void Add(ThreadPool& pool, const ElementwiseKernels& kernels, float* x, const float* y,
         size_t count);

}  // namespace reprise

#pragma once

// Operations::Pack, MatMul and GatedMatMul over the kernels of one instruction set: checks shapes,
// quantises activations once for all matrices of a call, cuts the work into (tile, run of rows) and
// shares it among the threads of a pool. Where the cuts lie changes no bit of the result: every
// output element is summed in the kernel's fixed order. One caller at a time.

#include <memory>
#include <span>
#include <vector>

#include "kernels/activations.h"
#include "kernels/elementwise.h"
#include "kernels/operations.h"
#include "kernels/pack.h"
#include "kernels/product.h"
#include "kernels/thread_pool.h"
#include "kernels/tile_products.h"

namespace reprise {

class ProductDriver {
 public:
  ProductDriver(const ProductKernels& kernels, const ElementwiseKernels& elementwise,
                Compute compute, ThreadPool& pool);

  Result<std::unique_ptr<Matrix>> Pack(const WeightView& weight);
  void MatMul(const float* x, int rows, std::span<const Matrix* const> ws,
              std::span<float* const> ys);
  void GatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y);

 private:
  // One matrix of a call: its tiles are numbers first_tile .. of all tiles of the call.
  struct Job {
    const PackedMatrix* matrix;
    std::span<const float> bias;  // or empty
    float* y;
    int64_t first_tile;
  };

  void FastMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                  std::span<float* const> ys);
  void FastGatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y);
  void ExactMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                   std::span<float* const> ys);
  void ExactGatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y);

  int64_t AddJob(const Matrix& w, std::span<const float> bias, float* y);  // tiles of all jobs

  // Puts x[rows, columns] into inputs_.
  void PutRows(const float* x, int rows, int columns);
  void MultiplyJobs(const Activations& x, int64_t tiles, int rows);
  // multiply(TileItem, thread) for all tiles of all rows.
  template <typename Multiply>
  void ForTiles(int64_t tiles, int rows, const Multiply& multiply);

  const ProductKernels& kernels_;
  const ElementwiseKernels& elementwise_;
  const Compute compute_;
  ThreadPool& pool_;

  WeightMemory weight_memory_;

  // Scratch: grows to the largest call.
  Activations inputs_;
  Activations gated_;         // between the products of GatedMatMul
  AlignedBytes exact_;        // f32: inputs, and expanded weights of each thread
  AlignedBytes exact_gated_;  // f32
  TileProducts tiles_;
  std::vector<Job> jobs_;
};

}  // namespace reprise

#pragma once

// Operations::Pack, MatMul and GatedMatMul over the kernels of one instruction set: checks shapes,
// quantises activations once for all matrices of a call, cuts the work into (tile, run of rows) and
// shares it among threads. Where the cuts lie changes no bit of the result: every output element is
// summed in the kernel's fixed order. One caller at a time.

#include <memory>
#include <span>
#include <vector>

#include "kernels/activations.h"
#include "kernels/elementwise.h"
#include "kernels/operations.h"
#include "kernels/pack.h"
#include "kernels/product.h"
#include "kernels/tile_products.h"
#include "kernels/work_share.h"

namespace reprise {

class ProductDriver {
 public:
  ProductDriver(const ProductKernels& kernels, const ElementwiseKernels& elementwise,
                Compute compute, int threads);

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

  // Tiles and rows cut into items, dealt out to the threads: runs of rows one after another, each
  // with all tiles.
  class Items {
   public:
    explicit Items(int threads) : threads_(threads), share_(threads) {}

    void Deal(int64_t tiles, int rows);  // before the team begins
    // By each thread of the team: body(TileItem) for each that falls to it.
    template <typename Body>
    void Take(Body body);

   private:
    int threads_;
    int64_t tiles_ = 0;
    int rows_ = 0;
    int rows_per_item_ = 0;
    WorkShare share_;
  };

  void FastMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                  std::span<float* const> ys);
  void FastGatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y);
  void ExactMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                   std::span<float* const> ys);
  void ExactGatedMatMul(const float* x, int rows, const GatedMatrices& ws, float* y);

  int64_t AddJob(const Matrix& w, std::span<const float> bias, float* y);  // tiles of all jobs

  // Puts x[rows, columns] into inputs_ and forks: `multiply` is called by every thread of the team.
  template <typename Multiply>
  void WithInputs(const float* x, int rows, int columns, Multiply multiply);

  // The following are called by every thread of a team, which shares the work.
  void PutRows(const float* x, int rows, int columns);
  void MultiplyJobs(const Activations& x);

  const ProductKernels& kernels_;
  const ElementwiseKernels& elementwise_;
  const Compute compute_;
  const int threads_;

  WeightMemory weight_memory_;

  // Scratch: grows to the largest call.
  Activations inputs_;
  Activations gated_;         // between the products of GatedMatMul
  AlignedBytes exact_;        // f32: inputs, and expanded weights of each thread
  AlignedBytes exact_gated_;  // f32
  TileProducts tiles_;
  std::vector<Job> jobs_;
  Items gated_items_;
  Items items_;
};

}  // namespace reprise

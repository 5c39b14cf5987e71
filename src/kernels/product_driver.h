#pragma once

// Operations::Pack and Operations::MatMul over the kernels of one instruction set: checks shapes,
// quantises activations once for all matrices of a call, cuts the work into (tile, run of rows) and
// shares it among threads. Where the cuts lie changes no bit of the result: every output element is
// summed in the kernel's fixed order. One caller at a time.

#include <memory>
#include <span>
#include <vector>

#include "kernels/operations.h"
#include "kernels/pack.h"
#include "kernels/product.h"

namespace reprise {

class ProductDriver {
 public:
  ProductDriver(const ProductKernels& kernels, Compute compute, int threads);

  Result<std::unique_ptr<Matrix>> Pack(const WeightView& weight);
  void MatMul(const float* x, int rows, std::span<const Matrix* const> ws,
              std::span<float* const> ys);

 private:
  // One matrix of a call: its tiles are numbers first_tile .. of all tiles of the call.
  struct Job {
    const PackedMatrix* matrix;
    float* y;
    int64_t first_tile;
  };

  void FastMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                  std::span<float* const> ys);
  void PlaceActivations(int rows, int columns, bool quantized, bool bf16);
  void PrepareRow(const float* x, int columns, bool quantized, bool bf16, int row);
  void MultiplyTile(int64_t tile, int first_row, int rows);
  void ExactMatMul(const float* x, int rows, std::span<const Matrix* const> ws,
                   std::span<float* const> ys);

  const ProductKernels& kernels_;
  const Compute compute_;
  const int threads_;

  WeightMemory weight_memory_;

  // Scratch: grows to the largest call.
  AlignedBytes activations_;
  AlignedBytes thread_scratch_;
  QuantizedRows quantized_{};
  Bf16Rows bf16_{};
  std::vector<Job> jobs_;
};

}  // namespace reprise

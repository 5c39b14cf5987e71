#pragma once

// The rows that products multiply, in the forms that packed matrices take: bytes with scales for
// quantised weights, bf16 for 16-bit weights (formulas: product.h). Filled once for all matrices of
// a call. Several threads may Put different rows or columns at once.

#include <cstddef>
#include <span>

#include "kernels/pack.h"
#include "kernels/product.h"

namespace reprise {

class Activations {
 public:
  explicit Activations(const ProductKernels& kernels) : kernels_(kernels) {}

  // Room for `rows` rows in each form that one of `ws` (same columns, packed) takes. What was put
  // before is gone. Memory grows to the largest call.
  void Reserve(std::span<const Matrix* const> ws, int rows);

  // Columns first .. first + columns - 1 of row `row`, from x[columns]. REQUIRES: `first` is a
  // multiple of 64; so is `columns`, unless these are the row's last, which for quantised weights
  // are a multiple of 32.
  void Put(const float* x, int row, int first, int columns);

  // Row `row` is what row `from` is.
  void CopyRow(int from, int row);

  const QuantizedRows& quantized() const { return quantized_; }
  const Bf16Rows& bf16() const { return bf16_; }

 private:
  const ProductKernels& kernels_;
  AlignedBytes bytes_;
  bool has_quantized_ = false;
  bool has_bf16_ = false;
  QuantizedRows quantized_{};
  Bf16Rows bf16_{};
};

}  // namespace reprise

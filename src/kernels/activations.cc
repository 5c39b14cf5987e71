#include "kernels/activations.h"

#include <algorithm>
#include <utility>

#include "base/round_up.h"

namespace reprise {
namespace {

// A row's bytes, so that the rows that a tile takes together, up to 16, lie in different sets of
// L1: an odd number of lines. (4,096 bytes a row are 16 lines of one set, which has 12.)
size_t ActivationRowBytes(size_t bytes) {
  constexpr size_t kLine = 64;
  const size_t lines = (bytes + kLine - 1) / kLine;
  return (lines | 1) * kLine;
}

}  // namespace

void Activations::Reserve(std::span<const Matrix* const> ws, int rows) {
  has_quantized_ = has_bf16_ = false;
  for (const Matrix* w : ws) {
    (Packed(*w).format().bits == 16 ? has_bf16_ : has_quantized_) = true;
  }
  const auto columns = static_cast<size_t>(ws[0]->columns());
  const auto row_count = static_cast<size_t>(rows);
  const size_t groups = columns / kActivationGroup;
  const size_t q_row_bytes = ActivationRowBytes(columns);
  const size_t bf16_row_bytes = ActivationRowBytes(columns * sizeof(uint16_t));
  const size_t q_bytes = has_quantized_ ? row_count * q_row_bytes : 0;
  const size_t factor_bytes = has_quantized_ ? RoundUp(row_count * groups * sizeof(float), 64) : 0;
  const size_t bf16_bytes = has_bf16_ ? row_count * bf16_row_bytes : 0;
  bytes_.Grow(q_bytes + 4 * factor_bytes + bf16_bytes);
  uint8_t* at = bytes_.data();
  const auto take = [&at](size_t size) { return std::exchange(at, at + size); };
  quantized_ = {.q = reinterpret_cast<int8_t*>(take(q_bytes)),
                .scale = reinterpret_cast<float*>(take(factor_bytes)),
                .scaled_sum = reinterpret_cast<float*>(take(factor_bytes)),
                .half_sums = reinterpret_cast<int32_t*>(take(2 * factor_bytes)),
                .q_stride = static_cast<ptrdiff_t>(q_row_bytes),
                .group_stride = static_cast<ptrdiff_t>(groups)};
  bf16_ = {.x = reinterpret_cast<uint16_t*>(take(bf16_bytes)),
           .stride = static_cast<ptrdiff_t>(bf16_row_bytes / sizeof(uint16_t))};
}

void Activations::Put(const float* x, int row, int first, int columns) {
  if (has_quantized_) {
    QuantizedRows from_first = quantized_;
    from_first.q += first;
    from_first.scale += first / kActivationGroup;
    from_first.scaled_sum += first / kActivationGroup;
    from_first.half_sums += 2 * (first / kActivationGroup);
    kernels_.quantize_row(x, columns, from_first, row);
  }
  if (has_bf16_) kernels_.round_row(x, columns, {bf16_.x + first, bf16_.stride}, row);
}

void Activations::CopyRow(int from, int row) {
  const auto copy = [from, row](auto* rows, ptrdiff_t stride) {
    std::copy_n(rows + from * stride, stride, rows + row * stride);
  };
  if (has_quantized_) {
    copy(quantized_.q, quantized_.q_stride);
    copy(quantized_.scale, quantized_.group_stride);
    copy(quantized_.scaled_sum, quantized_.group_stride);
    copy(quantized_.half_sums, 2 * quantized_.group_stride);
  }
  if (has_bf16_) copy(bf16_.x, bf16_.stride);
}

}  // namespace reprise

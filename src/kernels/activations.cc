#include "kernels/activations.h"

#include <algorithm>
#include <utility>

#include "base/round_up.h"

namespace reprise {

void Activations::Reserve(std::span<const Matrix* const> ws, int rows) {
  has_quantized_ = has_bf16_ = false;
  for (const Matrix* w : ws) {
    (Packed(*w).format().bits == 16 ? has_bf16_ : has_quantized_) = true;
  }
  const auto columns = static_cast<size_t>(ws[0]->columns());
  const auto row_count = static_cast<size_t>(rows);
  const size_t groups = columns / kActivationGroup;
  const size_t stride = RoundUp(columns, 64);
  const size_t q_bytes = has_quantized_ ? RoundUp(row_count * stride, 64) : 0;
  const size_t factor_bytes = has_quantized_ ? RoundUp(row_count * groups * sizeof(float), 64) : 0;
  const size_t bf16_bytes = has_bf16_ ? row_count * stride * sizeof(uint16_t) : 0;
  bytes_.Grow(q_bytes + 4 * factor_bytes + bf16_bytes);
  uint8_t* at = bytes_.data();
  const auto take = [&at](size_t size) { return std::exchange(at, at + size); };
  quantized_ = {.q = reinterpret_cast<int8_t*>(take(q_bytes)),
                .scale = reinterpret_cast<float*>(take(factor_bytes)),
                .scaled_sum = reinterpret_cast<float*>(take(factor_bytes)),
                .half_sums = reinterpret_cast<int32_t*>(take(2 * factor_bytes)),
                .q_stride = static_cast<ptrdiff_t>(stride),
                .group_stride = static_cast<ptrdiff_t>(groups)};
  bf16_ = {.x = reinterpret_cast<uint16_t*>(take(bf16_bytes)),
           .stride = static_cast<ptrdiff_t>(stride)};
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

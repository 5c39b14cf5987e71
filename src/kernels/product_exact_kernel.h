// The exact product's kernel (ProductKernels::exact_rows), included once by the source of each
// instruction set into its own unnamed namespace: the same C++ compiled three times. Sixteen lanes
// are independent sums, so the width of the registers changes no bit; products are never fused
// with sums (-ffp-contract=off). NOT a header for anyone else, hence no #pragma once.

typedef float Lanes __attribute__((vector_size(64), aligned(4), may_alias));

float FoldLanes(const Lanes& lanes) {
  float sums[16];
  for (int i = 0; i < 16; ++i) sums[i] = lanes[i];
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
  }
  return sums[0];
}

template <int kRows, int kOutputs>
void ExactBlock(const float* x, int columns, const float* w, float* y, ptrdiff_t y_stride) {
  Lanes sums[kRows][kOutputs] = {};
  for (int k = 0; k < columns; k += 16) {
    for (int r = 0; r < kRows; ++r) {
      const Lanes xs = *reinterpret_cast<const Lanes*>(x + r * ptrdiff_t{columns} + k);
      for (int n = 0; n < kOutputs; ++n) {
        sums[r][n] += xs * *reinterpret_cast<const Lanes*>(w + n * ptrdiff_t{columns} + k);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kOutputs; ++n) y[r * y_stride + n] = FoldLanes(sums[r][n]);
  }
}

template <int kOutputs>
void ExactOutputs(const float* x, int rows, int columns, const float* w, float* y,
                  ptrdiff_t y_stride) {
  int r = 0;
  for (; r + 2 <= rows; r += 2) {
    ExactBlock<2, kOutputs>(x + r * ptrdiff_t{columns}, columns, w, y + r * y_stride, y_stride);
  }
  if (r < rows) {
    ExactBlock<1, kOutputs>(x + r * ptrdiff_t{columns}, columns, w, y + r * y_stride, y_stride);
  }
}

void ExactRows(const float* x, int rows, int columns, const float* w, int outputs, float* y,
               ptrdiff_t y_stride) {
  switch (outputs) {
    case 4:
      return ExactOutputs<4>(x, rows, columns, w, y, y_stride);
    case 3:
      return ExactOutputs<3>(x, rows, columns, w, y, y_stride);
    case 2:
      return ExactOutputs<2>(x, rows, columns, w, y, y_stride);
    default:
      return ExactOutputs<1>(x, rows, columns, w, y, y_stride);
  }
}

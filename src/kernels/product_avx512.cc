// Products for AVX-512 with VNNI and bf16.

#include "kernels/product_rows.h"
#include "kernels/product_tile.h"
#include "kernels/product_vector_avx512.h"

namespace reprise::avx512 {
namespace {

#include "kernels/product_exact_kernel.h"

}  // namespace

const ProductKernels kProduct = {.quantize_row = QuantizeRow<ProductVector512>,
                                 .round_row = RoundRow<ProductVector512>,
                                 .quantized_tile = QuantizedTile<ProductVector512>,
                                 .bf16_tile = Bf16Tile<ProductVector512>,
                                 .exact_rows = ExactRows};

}  // namespace reprise::avx512

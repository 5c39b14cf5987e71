// Products for AVX2 with FMA.

#include "kernels/product_rows.h"
#include "kernels/product_tile.h"
#include "kernels/product_vector_avx2.h"
#include "kernels/simd_avx2.h"

namespace reprise::avx2 {
namespace {

#include "kernels/product_exact_kernel.h"

}  // namespace

const ProductKernels kProduct = {.quantize_row = QuantizeRow<Floats8>,
                                 .round_row = RoundRow<Floats8>,
                                 .quantized_tile = QuantizedTile<ProductVector256>,
                                 .bf16_tile = Bf16Tile<ProductVector256>,
                                 .exact_rows = ExactRows};

}  // namespace reprise::avx2

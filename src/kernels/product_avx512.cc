// Products for AVX-512 with VNNI and bf16.

#include "kernels/product_rows.h"
#include "kernels/product_tile.h"
#include "kernels/product_vector_avx512.h"
#include "kernels/simd_avx512.h"
#include "kernels/tiles.h"

namespace reprise::avx512 {
namespace {

#include "kernels/product_exact_kernel.h"

// Pairs of bf16 by two fma, under FlushDenormals: the bits of vdpbf16ps, which takes the odd input
// first (docs/design/numerics.md).
struct ProductHalves512 : ProductVector512 {
  static constexpr int kBf16Rows = 4;  // 16 sums beside 8 halves of weights

  struct Bf16Pairs {
    __m512 even;
    __m512 odd;
  };
  [[gnu::always_inline]] static Bf16Pairs ReadBf16(Bytes pairs) {
    return {EvenBf16(pairs).v, OddBf16(pairs).v};
  }
  [[gnu::always_inline]] static Floats AddBf16(Floats sums, Bf16Pairs w, Bf16Pairs x) {
    return _mm512_fmadd_ps(w.even, x.even, _mm512_fmadd_ps(w.odd, x.odd, sums));
  }
};

// Intel's take 2 cycles for a vdpbf16ps and half of one for an fma (measured on Sapphire Rapids).
void Bf16TileOfThisCpu(const TileCall& call) {
  static const bool has_slow_pairs = __builtin_cpu_is("intel");
  (has_slow_pairs ? Bf16TileByFma : Bf16TileByPairs)(call);
}

}  // namespace

void Bf16TileByPairs(const TileCall& call) { Bf16Tile<ProductVector512>(call); }

void Bf16TileByFma(const TileCall& call) {
  const FlushDenormals flush;
  Bf16Tile<ProductHalves512>(call);
}

const ProductKernels kProduct = {.quantize_row = QuantizeRow<Floats16>,
                                 .round_row = RoundRow<Floats16>,
                                 .quantized_tile = QuantizedTile<ProductVector512>,
                                 .bf16_tile = Bf16TileOfThisCpu,
                                 .exact_rows = ExactRows};

}  // namespace reprise::avx512

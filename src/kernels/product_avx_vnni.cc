// Products for AVX-VNNI: AVX2's vectors, but for the sums of a group's products, of which vpdpbusd
// takes a quad a time, exact in 32 bits. So the bits are AVX2's, and all other operations are its.

#include "kernels/product_rows.h"
#include "kernels/product_tile.h"
#include "kernels/product_vector_avx2.h"
#include "kernels/simd_avx2.h"

namespace reprise::avx_vnni {
namespace {

#include "kernels/product_exact_kernel.h"

struct ProductVectorVnni : ProductVector256 {
  static constexpr bool kSignedWeights = false;

  // 4 and 8 bits are multiplied straight from the record for many rows too, 4 × 16 (8 % faster than
  // 3 × 16 from unpacked bytes); few rows go as on AVX2.
  template <typename F>
  struct ManyRows {
    static constexpr bool kUnpacks = F::kPlaneBits > 0 || F::kCodes || F::kBits == 2;
    static constexpr int kRows = kUnpacks ? 3 : 4;
    static constexpr int Width(int) { return 2; }
  };

  template <typename F>
  class Products {
   public:
    [[gnu::always_inline]] void Begin(int32_t start) {
      sums_ = reinterpret_cast<Lanes>(_mm256_set1_epi32(start));
    }
    [[gnu::always_inline]] void Add(int, Bytes w, Bytes x) {
      sums_ =
          reinterpret_cast<Lanes>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(sums_), w, x));
    }
    [[gnu::always_inline]] Floats Sum() const {
      return _mm256_cvtepi32_ps(reinterpret_cast<__m256i>(sums_));
    }

   private:
    // Not __m256i, for the reason that ProductVector512 gives.
    using Lanes = int32_t __attribute__((vector_size(32)));
    Lanes sums_;
  };
};

}  // namespace

const ProductKernels kProduct = {.quantize_row = QuantizeRow<Floats8>,
                                 .round_row = RoundRow<Floats8>,
                                 .quantized_tile = QuantizedTile<ProductVectorVnni>,
                                 .bf16_tile = Bf16Tile<ProductVectorVnni>,
                                 .exact_rows = ExactRows};

}  // namespace reprise::avx_vnni

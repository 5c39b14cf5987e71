// Attention with AVX2 and AVX-VNNI: avx2's bits, as sums of whole numbers are exact however they
// are formed. Scores take one vpdpbusd where AVX2 takes four instructions.

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_rows.h"
#include "kernels/attention_values_avx2.h"
#include "kernels/simd_avx2.h"

namespace reprise {
namespace {

struct AvxVnniAttention : ValuesAvx2 {
  // 12 accumulators, 2 vectors of K and a broadcast in the 16 registers.
  static constexpr int kScoreRows = 6;
  static constexpr int kScoreVectors = 2;
  static constexpr int kMicroRows = 12;

  using Keys = __m256i;
  static Keys LoadKeys(const uint32_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
  }
  static Integers8 Start(int32_t excess) { return Integers8::All(excess); }
  static Integers8 AddProducts(Integers8 sums, Keys keys, Integers8 query) {
    return Integers8::Of(_mm256_dpbusd_avx_epi32(sums.bits(), keys, query.bits()));
  }
};

}  // namespace

namespace avx_vnni {

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(AttentionRows<AvxVnniAttention>::kKernel, call, scratch);
}

}  // namespace avx_vnni
}  // namespace reprise

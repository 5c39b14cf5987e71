// Attention with AVX2 and FMA. Scores: products of bytes, whose sums in pairs fit 16 bits as no
// byte is -128.

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_rows.h"
#include "kernels/attention_values_avx2.h"
#include "kernels/simd_avx2.h"

namespace reprise {
namespace {

struct Avx2Attention : ValuesAvx2 {
  // 8 accumulators, 4 vectors of K, a broadcast and its product's parts.
  static constexpr int kScoreRows = 4;
  static constexpr int kScoreVectors = 2;
  static constexpr int kMicroRows = 12;

  // K's values, no longer 128 more, and their magnitudes: of two factors one is taken without sign,
  // the other with the sign of both.
  struct Keys {
    __m256i values;
    __m256i magnitudes;
  };
  static Keys LoadKeys(const uint32_t* words) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    const __m256i values = _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(128)));
    return {values, _mm256_abs_epi8(values)};
  }
  static Integers8 Start(int32_t) { return Integers8::All(0); }
  static Integers8 AddProducts(Integers8 sums, const Keys& keys, Integers8 query) {
    const __m256i pairs =
        _mm256_maddubs_epi16(keys.magnitudes, _mm256_sign_epi8(query.bits(), keys.values));
    return sums + Integers8::Of(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

using Rows = AttentionRows<Avx2Attention>;

}  // namespace

namespace avx2 {

void CapScores(float* scores, int count, float scale, float cap) {
  Rows::CapScores(scores, count, scale, cap);
}

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(Rows::kKernel, call, scratch);
}

}  // namespace avx2
}  // namespace reprise

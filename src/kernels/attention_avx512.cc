// Attention with AVX-512: scores by its 8-bit products, values by those of bf16.

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_rows.h"
#include "kernels/simd_avx512.h"

namespace reprise {
namespace {

struct Avx512Attention {
  using Floats = Floats16;

  // Scores take 12 rows x 2 vectors of 16 keys: 24 accumulators and 2 vectors of K in the 32
  // registers, 24 products for 14 loads. Values take 6 rows x 4 vectors of 16 dimensions, likewise.
  static constexpr int kScoreRows = 12;
  static constexpr int kScoreVectors = 2;
  static constexpr int kValueRows = 6;
  static constexpr int kValueVectors = 4;
  static constexpr int kMicroRows = 12;

  using Keys = __m512i;
  static Keys LoadKeys(const uint32_t* words) { return _mm512_loadu_si512(words); }
  static Integers16 Start(int32_t excess) { return Integers16::All(excess); }
  static Integers16 AddProducts(Integers16 sums, Keys keys, Integers16 query) {
    return Integers16::Of(_mm512_dpbusd_epi32(sums.bits(), keys, query.bits()));
  }

  // As bf16: a pair of keys in one word.
  static Floats StoreProbabilities(Floats p, uint32_t* row, int i) {
    const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(p.v));
    _mm256_store_si256(reinterpret_cast<__m256i*>(row + i / 2), rounded);
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16))};
  }

  static constexpr int kParts = 1;
  using Pairs = __m512bh;
  static Pairs LoadPairs(int, const uint32_t* words) {
    return reinterpret_cast<Pairs>(_mm512_loadu_si512(words));
  }
  static Pairs LoadPairs(int, const uint32_t* words, Floats::Mask mask) {
    return reinterpret_cast<Pairs>(_mm512_maskz_loadu_epi32(mask, words));
  }
  static Pairs LoadWeights(int, const uint32_t* row, int j) {
    return reinterpret_cast<Pairs>(_mm512_set1_epi32(static_cast<int>(row[j])));
  }
  static Floats AddWeighted(Floats sums, Pairs pairs, Pairs weights) {
    return {_mm512_dpbf16_ps(sums.v, pairs, weights)};
  }
};

using Rows = AttentionRows<Avx512Attention>;

}  // namespace

namespace avx512 {

void CapScores(float* scores, int count, float scale, float cap) {
  Rows::CapScores(scores, count, scale, cap);
}

void Attention(const AttentionCall& call, AttentionScratch& scratch) {
  RunAttention(Rows::kKernel, call, scratch);
}

}  // namespace avx512
}  // namespace reprise

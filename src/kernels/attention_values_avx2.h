#pragma once

// The half of attention (attention_rows.h) that is the same wherever vectors have 256 bits: the
// weighted sum of V. There are no bf16 products here, so a word with a pair of bf16 becomes two
// f32, by a shift and by a mask, shared by the rows, and takes two fused multiply-adds, the even
// key first.

#include <immintrin.h>

#include <cstdint>

#include "kernels/simd_avx2.h"

namespace reprise {
namespace {

struct ValuesAvx2 {
  using Floats = Floats8;

  // 4 rows x 2 vectors of 8 lanes are 8 accumulators; with 4 vectors of expanded pairs and two
  // broadcasts 14 of the 16 registers.
  static constexpr int kValueRows = 4;
  static constexpr int kValueVectors = 2;

  // To nearest, ties to even, as f32; NaN stays NaN.
  static Floats StoreProbabilities(Floats p, uint32_t* row, int i) {
    const __m256i bits = _mm256_castps_si256(p.v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i raised = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
    const Floats upper = {_mm256_castsi256_ps(UpperHalf(raised))};
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(p.v, p.v, _CMP_UNORD_Q));
    const Floats rounded = Select(is_nan, p, upper);
    rounded.Store(reinterpret_cast<float*>(row + i));
    return rounded;
  }

  struct Pairs {
    Floats even;
    Floats odd;
  };
  static Pairs LoadPairs(const uint32_t* words) {
    return Expand(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
  }
  static Pairs LoadPairs(const uint32_t* words, Floats::Mask mask) {
    return Expand(_mm256_maskload_epi32(reinterpret_cast<const int*>(words), mask));
  }
  struct Weights {
    Floats even;
    Floats odd;
  };
  static Weights LoadWeights(const uint32_t* row, int j) {
    const auto* const p = reinterpret_cast<const float*>(row) + 2 * j;
    return {{_mm256_broadcast_ss(p)}, {_mm256_broadcast_ss(p + 1)}};
  }
  static Floats AddWeighted(Floats sums, const Pairs& pairs, const Weights& weights) {
    return MulAdd(weights.odd, pairs.odd, MulAdd(weights.even, pairs.even, sums));
  }

 private:
  static __m256i UpperHalf(__m256i words) {
    return _mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U)));
  }
  static Pairs Expand(__m256i words) {
    return {{_mm256_castsi256_ps(_mm256_slli_epi32(words, 16))},
            {_mm256_castsi256_ps(UpperHalf(words))}};
  }
};

}  // namespace
}  // namespace reprise

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

  // 6 rows x 2 vectors of 8 lanes are 12 accumulators; with 2 vectors of halves, a broadcast and
  // the mask all of the 16 registers. (8 accumulators wait for each other.)
  static constexpr int kValueRows = 6;
  static constexpr int kValueVectors = 2;

  // To nearest, ties to even, as f32; NaN stays NaN.
  static Floats StoreProbabilities(Floats p, uint32_t* row, int i) {
    const __m256i bits = _mm256_castps_si256(p.v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i raised = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(p.v, p.v, _CMP_UNORD_Q));
    const Floats rounded = Select(is_nan, p, OddBf16(raised));
    rounded.Store(reinterpret_cast<float*>(row + i));
    return rounded;
  }

  // The even key's half of each pair, then the odd one's.
  static constexpr int kParts = 2;
  using Pairs = Floats;
  static Pairs LoadPairs(int part, const uint32_t* words) {
    return Half(part, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
  }
  static Pairs LoadPairs(int part, const uint32_t* words, Floats::Mask mask) {
    return Half(part, _mm256_maskload_epi32(reinterpret_cast<const int*>(words), mask));
  }
  static Floats LoadWeights(int part, const uint32_t* row, int j) {
    return {_mm256_broadcast_ss(reinterpret_cast<const float*>(row) + 2 * j + part)};
  }
  static Floats AddWeighted(Floats sums, Floats values, Floats weights) {
    return MulAdd(weights, values, sums);
  }

 private:
  static Floats Half(int part, __m256i words) {
    return part == 0 ? EvenBf16(words) : OddBf16(words);
  }
};

}  // namespace
}  // namespace reprise

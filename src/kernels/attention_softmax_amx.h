#pragma once

// The vector phase of amx's attention, for the files compiled for it alone (hence the anonymous
// namespace): a row's int32 scores of one step (attention_step_amx.h) become probabilities in bf16
// in their place. Element by element, so that a row's bits are its own.

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_tile.h"
#include "kernels/quantize_query_avx512.h"

namespace reprise {
namespace {

constexpr float kLog2E = 1.4426950408889634F;

// 2^z of 16 lanes, z ≤ 0 or little above: the whole part by vscalefps, which takes the floor of z
// itself; 2^f for f in [0, 1) by a polynomial of degree 4, minimax of the relative error with 1 at
// 0 (4e-6, a five-hundredth of a bf16's rounding). Seven operations, of which scores need two a
// key: with Exp16's (exp_avx512.h) eleven it is a third of a step.
[[gnu::always_inline]] inline __m512 PowerOfTwo(__m512 z) {
  const __m512 f = _mm512_reduce_ps(z, 1);  // z - floor(z), rounded down
  __m512 p = _mm512_set1_ps(0.013555747F);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.052025763F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.24137913F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.69303548F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, z);
}

// PowerOfTwo(0) from `before` up to `after` where the exponents' difference is below 0; 1 exactly
// where they are equal, infinities too; 0 from -inf on. What sums so far weigh once the largest
// score is `after`.
inline __m512 WeightOfEarlier(__m512 before, __m512 after, __m512 factor) {
  const __mmask16 rises = _mm512_cmp_ps_mask(after, before, _CMP_GT_OQ);
  const __m512 z = _mm512_mul_ps(_mm512_sub_ps(before, after), factor);
  const __m512 one = _mm512_set1_ps(1.0F);
  // From 2^-200 on the result is 0; PowerOfTwo is not for -inf.
  return _mm512_mask_mov_ps(one, rises, PowerOfTwo(_mm512_max_ps(z, _mm512_set1_ps(-200.0F))));
}

// A row of a step.
struct RowOfStep {
  SeenKeys seen;  // of the step's keys
  int keys;       // of the step, rounded up to 32
  int32_t start;  // what the row's integers have too little
  float scale;    // of its query
};

// Lanes of the vector of keys i .. i + 15 that a row sees.
inline __mmask16 SeenLanes(const SeenKeys& seen, int i) {
  const int end = seen.end - i;
  const int begin = seen.begin - i;
  if (end <= 0 || begin >= 16) return 0;
  return static_cast<__mmask16>(FirstLanes(end) & (begin <= 0 ? 0xFFFFU : 0xFFFFU << begin));
}

// Calls whole(i), or part(i, lanes), for each vector with keys that the row sees.
template <typename Whole, typename Part>
[[gnu::always_inline]] inline void ForSeenVectors(const SeenKeys& seen, Whole whole, Part part) {
  int i = seen.begin / 16 * 16;
  if (i < seen.begin && i < seen.end) {
    part(i, SeenLanes(seen, i));
    i += 16;
  }
  for (; i + 16 <= seen.end; i += 16) whole(i);
  if (i < seen.end) part(i, SeenLanes(seen, i));
}

// Integers to scores, q · k but for the query's scale; returns the largest of those seen.
inline float ScaleScores(const RowOfStep& of, const float* key_scales, uint32_t* row) {
  const __m512i start = _mm512_set1_epi32(of.start);
  const auto scaled = [&](int i) {
    const __m512i sums = _mm512_add_epi32(_mm512_load_si512(row + i), start);
    const __m512 scores = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_load_ps(key_scales + i));
    _mm512_store_ps(row + i, scores);
    return scores;
  };
  __m512 top = _mm512_set1_ps(-__builtin_inff());
  ForSeenVectors(
      of.seen, [&](int i) { top = _mm512_max_ps(top, scaled(i)); },
      [&](int i, __mmask16 lanes) { top = _mm512_mask_max_ps(top, lanes, top, scaled(i)); });
  return _mm512_reduce_max_ps(top);
}

// Of scores that were changed since.
inline float LargestScore(const SeenKeys& seen, const uint32_t* row) {
  __m512 top = _mm512_set1_ps(-__builtin_inff());
  ForSeenVectors(
      seen, [&](int i) { top = _mm512_max_ps(top, _mm512_load_ps(row + i)); },
      [&](int i, __mmask16 lanes) {
        top = _mm512_mask_max_ps(top, lanes, top, _mm512_load_ps(row + i));
      });
  return _mm512_reduce_max_ps(top);
}

// Scores to bf16(2^(factor · (score - largest))) for the keys that the row sees, 0 for the others
// of the step's.
inline void ExponentiateScores(const RowOfStep& of, float largest, float factor, uint32_t* row) {
  const __m512 by = _mm512_set1_ps(factor);
  const __m512 from = _mm512_set1_ps(-largest * factor);
  const auto power = [&](int i) {
    return PowerOfTwo(_mm512_fmadd_ps(_mm512_load_ps(row + i), by, from));
  };
  const auto power_of_seen = [&](int i) {
    const __mmask16 lanes = SeenLanes(of.seen, i);
    return _mm512_maskz_mov_ps(
        lanes, PowerOfTwo(_mm512_fmadd_ps(_mm512_maskz_load_ps(lanes, row + i), by, from)));
  };
  const auto store = [&](int i, __m512 low, __m512 high) {
    _mm512_store_si512(row + i / 2, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  };
  for (int i = 0; i < of.keys; i += 32) {
    if (i >= of.seen.begin && i + 32 <= of.seen.end) {
      const __m512 low = power(i);
      store(i, low, power(i + 16));
    } else {
      const __m512 low = power_of_seen(i);
      store(i, low, power_of_seen(i + 16));
    }
  }
}

// Scores of one step, int32 without of.start, to probabilities, relative to the largest score of
// this step and those before, which is kept in *largest (-inf before the first; as
// AttentionState::maximum but for the query's scale). Returns what the row's earlier sums weigh
// now.
inline float Softmax(const AttentionTile& tile, const RowOfStep& of, const float* key_scales,
                     uint32_t* row, float* largest) {
  float top = ScaleScores(of, key_scales, row);
  float factor = tile.state_scale * of.scale * kLog2E;
  if (tile.soft_cap != 0.0F) {
    const int first = of.seen.begin / 16 * 16;
    avx512::CapScores(reinterpret_cast<float*>(row) + first, (of.seen.end - first + 15) / 16 * 16,
                      tile.scale * of.scale, tile.soft_cap);
    top = LargestScore(of.seen, row);
    factor = kLog2E;
  }
  const float before = *largest;
  if (!(top <= before)) *largest = top;
  ExponentiateScores(of, *largest, factor, row);
  return _mm512_cvtss_f32(
      WeightOfEarlier(_mm512_set1_ps(before), _mm512_set1_ps(*largest), _mm512_set1_ps(factor)));
}

}  // namespace
}  // namespace reprise

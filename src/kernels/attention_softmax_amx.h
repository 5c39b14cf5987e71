#pragma once

// The vector phase of amx's attention, for the files compiled for it alone (hence the anonymous
// namespace): a row's int32 scores of one step (attention_step_amx.h) become probabilities in bf16
// in their place. Element by element, so that a row's bits are its own.

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/attention_tile.h"
#include "kernels/simd_avx512.h"

namespace reprise {
namespace {

constexpr float kLog2E = 1.4426950408889634F;

// 2^z of each lane, z ≤ 0 or little above: the whole part by vscalefps, which takes the floor of z
// itself; 2^f for f in [0, 1) by a polynomial of degree 4, minimax of the relative error with 1 at
// 0 (4e-6, a five-hundredth of a bf16's rounding). Six operations where Exp (exp_lanes.h), for f32,
// has thirteen: half of the vector phase, which takes longer than the tiles'.
[[gnu::always_inline]] inline Floats16 PowerOfTwo(Floats16 z) {
  const Floats16 f = {_mm512_reduce_ps(z.v, 1)};  // z - floor(z), rounded down
  Floats16 p = Floats16::All(0.013555747F);
  p = MulAdd(p, f, Floats16::All(0.052025763F));
  p = MulAdd(p, f, Floats16::All(0.24137913F));
  p = MulAdd(p, f, Floats16::All(0.69303548F));
  p = MulAdd(p, f, Floats16::All(1.0F));
  return TimesPowerOfTwo(p, z);
}

// What sums so far weigh once the largest score is `after`: 2^(factor · (before - after)) where it
// rises, from -inf on 0; 1 exactly where it does not, -inf included.
inline Floats16 WeightOfEarlier(Floats16 before, Floats16 after, Floats16 factor) {
  // From 2^-200 on the result is 0; PowerOfTwo is not for -inf.
  const Floats16 z = Max((before - after) * factor, Floats16::All(-200.0F));
  return Select(IsBelow(before, after), PowerOfTwo(z), Floats16::All(1.0F));
}

// A row of a step.
struct RowOfStep {
  SeenKeys seen;   // of the step's keys
  int32_t start;   // what the row's integers have too little
  float scale;     // of its query
  uint32_t* keys;  // its scores
};

inline float* AsScores(uint32_t* row) { return reinterpret_cast<float*>(row); }

// The largest of score(i), the scores of keys i .. i + 15, over the keys seen; each is asked for
// once. Two maxima, since one would wait for itself: a maximum takes four cycles.
template <typename Score>
[[gnu::always_inline]] inline float LargestSeen(const SeenKeys& seen, Score score) {
  const Floats16 lowest = Floats16::All(-__builtin_inff());
  const auto score_of_seen = [&](int i) {
    return Select(Floats16::Lanes(seen.begin - i, seen.end - i), score(i), lowest);
  };
  Floats16 even = lowest;
  Floats16 odd = lowest;
  int i = seen.begin / 16 * 16;
  if (i < seen.begin && i < seen.end) {
    even = score_of_seen(i);
    i += 16;
  }
  for (; i + 32 <= seen.end; i += 32) {
    even = Max(even, score(i));
    odd = Max(odd, score(i + 16));
  }
  for (; i < seen.end; i += 16) odd = Max(odd, score_of_seen(i));
  return Largest(Max(even, odd));
}

// A row's integers to scores: q · k but for the query's scale, or with a soft cap the capped ones.
// Returns the largest of those seen.
inline float FinishScores(const AttentionTile& tile, const RowOfStep& row,
                          const float* key_scales) {
  float* const scores = AsScores(row.keys);
  const Integers16 start = Integers16::All(row.start);
  const float largest = LargestSeen(row.seen, [&](int i) {
    const Integers16 sums = Integers16::Of(_mm512_load_si512(row.keys + i)) + start;
    const Floats16 scaled = ToFloats(sums) * Floats16::Load(key_scales + i);
    scaled.Store(scores + i);
    return scaled;
  });
  if (tile.soft_cap == 0.0F) return largest;
  const int begin = row.seen.begin / 16 * 16;
  avx512::CapScores(scores + begin, (row.seen.end - begin + 15) / 16 * 16, tile.scale * row.scale,
                    tile.soft_cap);
  return LargestSeen(row.seen, [&](int i) { return Floats16::Load(scores + i); });
}

// Scores to bf16(2^(factor · (score - largest))) for the keys that the row sees, 0 for the others
// of the step's, up to a multiple of 32.
inline void ExponentiateScores(const RowOfStep& row, int keys, float largest, float factor) {
  const Floats16 by = Floats16::All(factor);
  const Floats16 from = Floats16::All(-largest * factor);
  const float* const scores = AsScores(row.keys);
  const auto power = [&](int i) {
    return PowerOfTwo(MulAdd(Floats16::Load(scores + i), by, from));
  };
  const auto power_of_seen = [&](int i) {
    const Floats16::Mask mask = Floats16::Lanes(row.seen.begin - i, row.seen.end - i);
    return Keep(mask, PowerOfTwo(MulAdd(Floats16::Load(scores + i, mask), by, from)));
  };
  for (int i = 0; i < keys; i += 32) {
    const bool is_whole = i >= row.seen.begin && i + 32 <= row.seen.end;
    const Floats16 low = is_whole ? power(i) : power_of_seen(i);
    const Floats16 high = is_whole ? power(i + 16) : power_of_seen(i + 16);
    _mm512_store_si512(row.keys + i / 2,
                       reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high.v, low.v)));
  }
}

}  // namespace
}  // namespace reprise

#pragma once

// Eight f32 in one register, for files compiled for AVX2 with FMA (hence the anonymous namespace:
// each such file has its own copy, and none leaks into portable code). Loops are written once over
// such a type, in the headers *_lanes.h and *_rows.h; simd_avx512.h has the same of sixteen lanes,
// simd_plain.h of one.
//
// Every function works on each lane by itself, but for those at the end, whose order is their set's
// own. A Mask has all bits of a lane or none.

#include <immintrin.h>

#include <cstdint>

namespace reprise {
namespace {

struct Integers8 {
  int32_t __attribute__((vector_size(32))) v;

  static Integers8 All(int32_t x) { return Of(_mm256_set1_epi32(x)); }
  static Integers8 Of(__m256i x) { return {reinterpret_cast<decltype(v)>(x)}; }
  __m256i bits() const { return reinterpret_cast<__m256i>(v); }
};

inline Integers8 operator+(Integers8 a, Integers8 b) { return {a.v + b.v}; }
inline Integers8 operator&(Integers8 a, Integers8 b) { return {a.v & b.v}; }

struct Floats8 {
  static constexpr int kLanes = 8;
  using Mask = __m256i;
  using Integers = Integers8;

  __m256 v;

  static Floats8 All(float x) { return {_mm256_set1_ps(x)}; }
  static Floats8 Load(const float* from) { return {_mm256_loadu_ps(from)}; }
  void Store(float* to) const { _mm256_storeu_ps(to, v); }
  // Lanes that are not in the mask are 0, and their memory is not touched.
  static Floats8 Load(const float* from, Mask mask) { return {_mm256_maskload_ps(from, mask)}; }
  void Store(float* to, Mask mask) const { _mm256_maskstore_ps(to, mask, v); }

  // The first `count` lanes, all from kLanes on. REQUIRES: count ≥ 0
  static Mask FirstLanes(int64_t count) {
    const int within = count >= kLanes ? kLanes : static_cast<int>(count);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(within), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  // The lanes from `begin` on and before `end`, which may lie outside.
  static Mask Lanes(int begin, int end) {
    return _mm256_andnot_si256(FirstLanes(begin < 0 ? 0 : begin), FirstLanes(end < 0 ? 0 : end));
  }
};

inline Floats8 operator+(Floats8 a, Floats8 b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Floats8 operator-(Floats8 a, Floats8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Floats8 operator*(Floats8 a, Floats8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Floats8 operator/(Floats8 a, Floats8 b) { return {_mm256_div_ps(a.v, b.v)}; }

// Rounded once: a b + c, a b - c, and a b - c in even lanes beside a b + c in odd ones.
inline Floats8 MulAdd(Floats8 a, Floats8 b, Floats8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Floats8 MulSub(Floats8 a, Floats8 b, Floats8 c) { return {_mm256_fmsub_ps(a.v, b.v, c.v)}; }
inline Floats8 MulSubAdd(Floats8 a, Floats8 b, Floats8 c) {
  return {_mm256_fmaddsub_ps(a.v, b.v, c.v)};
}

// The second operand wins where one is NaN.
inline Floats8 Min(Floats8 a, Floats8 b) { return {_mm256_min_ps(a.v, b.v)}; }
inline Floats8 Max(Floats8 a, Floats8 b) { return {_mm256_max_ps(a.v, b.v)}; }

inline Floats8 Magnitude(Floats8 x) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), x.v)}; }
// REQUIRES: magnitude has no sign.
inline Floats8 WithSignOf(Floats8 magnitude, Floats8 x) {
  return {_mm256_or_ps(magnitude.v, _mm256_and_ps(x.v, _mm256_set1_ps(-0.0F)))};
}

inline __m256i IsBelow(Floats8 a, Floats8 b) {
  return _mm256_castps_si256(_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ));
}
inline Floats8 Select(__m256i mask, Floats8 yes, Floats8 no) {
  return {_mm256_blendv_ps(no.v, yes.v, _mm256_castsi256_ps(mask))};
}
// 0 in the lanes that are not in the mask.
inline Floats8 Keep(__m256i mask, Floats8 x) {
  return {_mm256_and_ps(_mm256_castsi256_ps(mask), x.v)};
}

// To whole numbers, ties to even.
inline Floats8 Nearest(Floats8 x) {
  return {_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

// x 2^n for whole n from -150 to 150, in two factors because an exponent reaches only from -126 to
// 127.
inline Floats8 TimesPowerOfTwo(Floats8 x, Floats8 n) {
  const __m256i exponent = _mm256_cvtps_epi32(n.v);
  const __m256i half = _mm256_srai_epi32(exponent, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(exponent, half), bias), 23);
  return {
      _mm256_mul_ps(_mm256_mul_ps(x.v, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second))};
}

inline Floats8 ToFloats(Integers8 x) { return {_mm256_cvtepi32_ps(x.bits())}; }
// To the nearest, ties to even.
inline Integers8 ToIntegers(Floats8 x) { return Integers8::Of(_mm256_cvtps_epi32(x.v)); }
inline Integers8 BitsOf(Floats8 x) { return {reinterpret_cast<decltype(Integers8::v)>(x.v)}; }
inline Integers8 MagnitudeBits(Floats8 x) { return BitsOf(x) & Integers8::All(0x7FFFFFFF); }
inline Integers8 Max(Integers8 a, Integers8 b) {
  return Integers8::Of(_mm256_max_epi32(a.bits(), b.bits()));
}
// One byte of each lane; REQUIRES: from -128 to 127.
inline void StoreBytes(Integers8 x, void* to) {
  const auto lanes = x.bits();
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  _mm_storel_epi64(static_cast<__m128i*>(to), _mm_packs_epi16(words, words));
}

// Of pairs of bf16, one pair a lane: their first and their second, as f32.
inline Floats8 EvenBf16(__m256i pairs) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16))};
}
inline Floats8 OddBf16(__m256i pairs) {
  return {_mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-0x10000)))};
}
// To bf16, to nearest, ties to even; NaN stays NaN.
inline void StoreBf16(Floats8 x, uint16_t* to) {
  const __m256i bits = _mm256_castps_si256(x.v);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i tie =
      _mm256_add_epi32(_mm256_set1_epi32(0x7FFF), _mm256_and_si256(high, _mm256_set1_epi32(1)));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, tie), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q));
  const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, is_nan);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(to),
      _mm_packus_epi32(_mm256_castsi256_si128(chosen), _mm256_extracti128_si256(chosen, 1)));
}

// Lane i gets that of i with the bits of `distance` flipped.
inline Floats8 Flip(Floats8 x, int distance) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_permutevar8x32_ps(x.v, _mm256_xor_si256(lane, _mm256_set1_epi32(distance)))};
}
// The lanes i with (i & distance) != 0, of which `distance` is a bit.
inline __m256i LanesWith(Floats8, int distance) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i bit = _mm256_set1_epi32(distance);
  return _mm256_cmpeq_epi32(_mm256_and_si256(lane, bit), bit);
}
// Neighbours 2i and 2i + 1 swapped.
inline Floats8 SwapPairs(Floats8 x) { return {_mm256_permute_ps(x.v, 0xB1)}; }
// Each of the first four lanes twice.
inline Floats8 Twice(Floats8 x) {
  return {_mm256_permutevar8x32_ps(x.v, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3))};
}

inline float FirstLane(Floats8 x) { return _mm256_cvtss_f32(x.v); }

// From +0 on, in ascending order of lanes.
inline float Sum(Floats8 x) {
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, x.v);
  float sum = 0.0F;
  for (const float lane : lanes) sum += lane;
  return sum;
}
inline float Largest(Floats8 x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline int32_t Sum(Integers8 x) {
  __m128i sum =
      _mm_add_epi32(_mm256_castsi256_si128(x.bits()), _mm256_extracti128_si256(x.bits(), 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1)));
}
inline int32_t Largest(Integers8 x) {
  __m128i largest =
      _mm_max_epi32(_mm256_castsi256_si128(x.bits()), _mm256_extracti128_si256(x.bits(), 1));
  largest = _mm_max_epi32(largest, _mm_shuffle_epi32(largest, 0x4E));
  return _mm_cvtsi128_si32(_mm_max_epi32(largest, _mm_shuffle_epi32(largest, 0xB1)));
}

}  // namespace
}  // namespace reprise

#pragma once

// Sixteen f32 in one register, for files compiled for AVX-512: what simd_avx2.h has of eight lanes,
// function by function; only what differs is said here. A Mask has a bit for each lane.

#include <immintrin.h>

#include <cstdint>

namespace reprise {
namespace {

struct Integers16 {
  // As __m512i, which has lanes of 64 bits, gcc 12 copies and spills accumulators around every
  // vpdpbusd, and scores take twice as long.
  int32_t __attribute__((vector_size(64))) v;

  static Integers16 All(int32_t x) { return Of(_mm512_set1_epi32(x)); }
  static Integers16 Of(__m512i x) { return {reinterpret_cast<decltype(v)>(x)}; }
  __m512i bits() const { return reinterpret_cast<__m512i>(v); }
};

inline Integers16 operator+(Integers16 a, Integers16 b) { return {a.v + b.v}; }
inline Integers16 operator&(Integers16 a, Integers16 b) { return {a.v & b.v}; }

struct Floats16 {
  static constexpr int kLanes = 16;
  using Mask = __mmask16;
  using Integers = Integers16;

  __m512 v;

  static Floats16 All(float x) { return {_mm512_set1_ps(x)}; }
  static Floats16 Load(const float* from) { return {_mm512_loadu_ps(from)}; }
  void Store(float* to) const { _mm512_storeu_ps(to, v); }
  static Floats16 Load(const float* from, Mask mask) { return {_mm512_maskz_loadu_ps(mask, from)}; }
  void Store(float* to, Mask mask) const { _mm512_mask_storeu_ps(to, mask, v); }

  static Mask FirstLanes(int64_t count) {
    return static_cast<Mask>(count >= kLanes ? 0xFFFFU : (1U << count) - 1U);
  }
  static Mask Lanes(int begin, int end) {
    return static_cast<Mask>(FirstLanes(end < 0 ? 0 : end) & ~FirstLanes(begin < 0 ? 0 : begin));
  }
};

inline Floats16 operator+(Floats16 a, Floats16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Floats16 operator-(Floats16 a, Floats16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Floats16 operator*(Floats16 a, Floats16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Floats16 operator/(Floats16 a, Floats16 b) { return {_mm512_div_ps(a.v, b.v)}; }

inline Floats16 MulAdd(Floats16 a, Floats16 b, Floats16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Floats16 MulSub(Floats16 a, Floats16 b, Floats16 c) {
  return {_mm512_fmsub_ps(a.v, b.v, c.v)};
}
inline Floats16 MulSubAdd(Floats16 a, Floats16 b, Floats16 c) {
  return {_mm512_fmaddsub_ps(a.v, b.v, c.v)};
}

inline Floats16 Min(Floats16 a, Floats16 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Floats16 Max(Floats16 a, Floats16 b) { return {_mm512_max_ps(a.v, b.v)}; }

inline Floats16 Magnitude(Floats16 x) { return {_mm512_abs_ps(x.v)}; }
inline Floats16 WithSignOf(Floats16 magnitude, Floats16 x) {
  return {_mm512_or_ps(magnitude.v, _mm512_and_ps(x.v, _mm512_set1_ps(-0.0F)))};
}

inline __mmask16 IsBelow(Floats16 a, Floats16 b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ);
}
inline Floats16 Select(__mmask16 mask, Floats16 yes, Floats16 no) {
  return {_mm512_mask_mov_ps(no.v, mask, yes.v)};
}
inline Floats16 Keep(__mmask16 mask, Floats16 x) { return {_mm512_maskz_mov_ps(mask, x.v)}; }

inline Floats16 Nearest(Floats16 x) {
  return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Floats16 TimesPowerOfTwo(Floats16 x, Floats16 n) { return {_mm512_scalef_ps(x.v, n.v)}; }

inline Floats16 ToFloats(Integers16 x) { return {_mm512_cvtepi32_ps(x.bits())}; }
inline Integers16 ToIntegers(Floats16 x) { return Integers16::Of(_mm512_cvtps_epi32(x.v)); }
inline Integers16 BitsOf(Floats16 x) { return {reinterpret_cast<decltype(Integers16::v)>(x.v)}; }
inline Integers16 MagnitudeBits(Floats16 x) { return BitsOf(x) & Integers16::All(0x7FFFFFFF); }
inline Integers16 Max(Integers16 a, Integers16 b) {
  return Integers16::Of(_mm512_max_epi32(a.bits(), b.bits()));
}
inline void StoreBytes(Integers16 x, void* to) {
  _mm_storeu_si128(static_cast<__m128i*>(to), _mm512_cvtepi32_epi8(x.bits()));
}

inline Floats16 EvenBf16(__m512i pairs) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16))};
}
inline Floats16 OddBf16(__m512i pairs) {
  return {_mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-0x10000)))};
}
inline void StoreBf16(Floats16 x, uint16_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x.v)));
}

inline Floats16 Flip(Floats16 x, int distance) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return {_mm512_permutexvar_ps(_mm512_xor_si512(lane, _mm512_set1_epi32(distance)), x.v)};
}
inline __mmask16 LanesWith(Floats16, int distance) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_test_epi32_mask(lane, _mm512_set1_epi32(distance));
}
inline Floats16 SwapPairs(Floats16 x) { return {_mm512_permute_ps(x.v, 0xB1)}; }
inline Floats16 Twice(Floats16 x) {
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return {_mm512_permutexvar_ps(twice, x.v)};
}

inline float FirstLane(Floats16 x) { return _mm512_cvtss_f32(x.v); }

// Halves, then halves of these: lane i and i + 8, the sums' i and i + 4, and so on.
inline float Sum(Floats16 x) { return _mm512_reduce_add_ps(x.v); }
inline float Largest(Floats16 x) { return _mm512_reduce_max_ps(x.v); }
inline int32_t Sum(Integers16 x) { return _mm512_reduce_add_epi32(x.bits()); }
inline int32_t Largest(Integers16 x) { return _mm512_reduce_max_epi32(x.bits()); }

}  // namespace
}  // namespace reprise

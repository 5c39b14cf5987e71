#pragma once

// The vector type of products for AVX-512 with VNNI and bf16: what product_vector_avx2.h describes,
// in registers of 512 bits.

#include <immintrin.h>

#include <cstdint>

#include "kernels/product_format.h"

namespace reprise {
namespace {

struct ProductVector512 {
  using Bytes = __m512i;
  using Floats = __m512;

  static constexpr int kLanes = 16;
  static constexpr bool kSignedWeights = false;

  // -- Blocks --

  // Up to kLimit rows are few (at 24, 2 to 9 % faster on 4-bit weights, 13 % on 8 bits, 22 % on 5
  // and 6 bits of a 1B model). They go by 4 × all 64 outputs of the tile, so that its bytes, which
  // come from memory, pass by in order and once or a few times (measured against 6 × 32: 8 rows 5
  // to 25 % faster, 16 rows 7 to 50 %; 512 rows of the default model 4 % slower).
  template <typename F>
  struct FewRows {
    static constexpr int kLimit = 24;
    static constexpr int kRows = 4;
    static constexpr int Width(int) { return 4; }
  };
  // Many rows go by 6 × 32 outputs: 12 integer and 12 scaled sums, which stay in the 32 registers
  // beside 4 of weights. What bounds them is one port: 96 vpdpbusd and 24 (with offsets 36)
  // operations of scaling for each group.
  //
  // Weights of 4 and 8 bits are multiplied straight from the packed record: their unpacking hides
  // in the register ports that vpdpbusd leaves free (measured with blocks of 4 rows x 64 outputs:
  // 300 GOP/s a core against 270 from unpacked bytes, which take twice the loads). Weights of 2, 3,
  // 5 and 6 bits, and codes, take more steps to unpack, so a run of groups is unpacked to L1 first
  // (5 and 6 bits: 300 against 260).
  template <typename F>
  struct ManyRows {
    static constexpr bool kUnpacks = F::kLowBits == 2 || F::kPlaneBits > 0 || F::kCodes;
    static constexpr int kRows = 6;
    static constexpr int Width(int) { return 2; }
  };
  static constexpr int kUnpackWidth = 4;
  static constexpr int kBf16Rows = 6;
  static constexpr int kBf16Width = 4;

  // -- Bytes --

  [[gnu::always_inline]] static Bytes Load(const uint8_t* at) { return _mm512_load_si512(at); }
  [[gnu::always_inline]] static void Store(uint8_t* at, Bytes v) { _mm512_store_si512(at, v); }
  [[gnu::always_inline]] static Bytes EachByte(int byte) {
    return _mm512_set1_epi8(static_cast<char>(byte));
  }
  [[gnu::always_inline]] static Bytes And(Bytes a, Bytes b) { return _mm512_and_si512(a, b); }
  [[gnu::always_inline]] static Bytes Xor(Bytes a, Bytes b) { return _mm512_xor_si512(a, b); }
  [[gnu::always_inline]] static Bytes OrMasked(Bytes low, Bytes high, Bytes mask) {
    return _mm512_ternarylogic_epi64(low, high, mask, 0xf8);
  }
  [[gnu::always_inline]] static Bytes ShiftLeft(Bytes v, int bits) {
    return _mm512_slli_epi16(v, static_cast<unsigned>(bits));
  }
  [[gnu::always_inline]] static Bytes ShiftRight(Bytes v, int bits) {
    return _mm512_srli_epi16(v, static_cast<unsigned>(bits));
  }
  [[gnu::always_inline]] static Bytes LoadCodebook(const int8_t* codebook) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codebook)));
  }
  [[gnu::always_inline]] static Bytes Look(Bytes codebook, Bytes codes) {
    return _mm512_shuffle_epi8(codebook, codes);
  }

  [[gnu::always_inline]] static Bytes EachInt(int32_t v) { return _mm512_set1_epi32(v); }

  // -- Products of bytes --

  template <typename F>
  class Products {
   public:
    [[gnu::always_inline]] void Begin(int32_t start) {
      sums_ = reinterpret_cast<Lanes>(_mm512_set1_epi32(start));
    }
    [[gnu::always_inline]] void Add(int, Bytes w, Bytes x) {
      sums_ = reinterpret_cast<Lanes>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums_), w, x));
    }
    [[gnu::always_inline]] Floats Sum() const {
      return _mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sums_));
    }

   private:
    // As __m512i, which has lanes of 64 bits, gcc 12 copies and spills accumulators around every
    // vpdpbusd.
    using Lanes = int32_t __attribute__((vector_size(64)));
    Lanes sums_;
  };

  // -- Floats --

  [[gnu::always_inline]] static Floats EachFloat(float v) { return _mm512_set1_ps(v); }
  [[gnu::always_inline]] static Floats LoadFloats(const float* at) { return _mm512_loadu_ps(at); }
  [[gnu::always_inline]] static void StoreFloats(float* at, Floats v) { _mm512_storeu_ps(at, v); }
  [[gnu::always_inline]] static Floats LoadHalves(const uint8_t* at) {
    return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(at)));
  }
  [[gnu::always_inline]] static Floats Multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  [[gnu::always_inline]] static Floats Fma(Floats a, Floats b, Floats c) {
    return _mm512_fmadd_ps(a, b, c);
  }

  // -- bf16 --

  using Bf16Pairs = __m512bh;
  [[gnu::always_inline]] static Bf16Pairs ReadBf16(Bytes pairs) {
    return reinterpret_cast<__m512bh>(pairs);
  }
  [[gnu::always_inline]] static Floats AddBf16(Floats sums, Bf16Pairs w, Bf16Pairs x) {
    return _mm512_dpbf16_ps(sums, w, x);
  }
};

}  // namespace
}  // namespace reprise

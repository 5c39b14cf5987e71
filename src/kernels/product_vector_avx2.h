#pragma once

// The vector type of products for AVX2 with FMA, and what all such types have. The loops over them
// stand in product_tile.h and product_reader.h. A type says
//
//   how wide it is        kLanes outputs, each of four bytes, one 32-bit integer or one f32
//   which blocks it likes FewRows, ManyRows, kUnpackWidth, kBf16Rows and kBf16Width: rows and
//                         vectors of outputs at a time
//   how a group's sum of products comes about   Products: Begin(start), then Add(quad, w, x) for
//                         quads ascending, then Sum(), exact, as f32
//   single operations     named after what they do
//
// In an unnamed namespace, so that every file compiled for one instruction set has its own copy,
// also of all templates over the type, and none leaks into portable code.

#include <immintrin.h>

#include <cstdint>

#include "kernels/product_format.h"
#include "kernels/product_reader.h"
#include "kernels/simd_avx2.h"

namespace reprise {
namespace {

struct ProductVector256 {
  using Bytes = __m256i;
  using Floats = __m256;

  static constexpr int kLanes = 8;
  // Whether 8-bit weights and codes are multiplied as q - 128, not as q.
  static constexpr bool kSignedWeights = true;

  // -- Blocks --

  // Few rows go straight from the record, 4 rows × 16 outputs, 8 sums at a time; a single row takes
  // 32 outputs. (One row, from unpacked bytes: 1.6 to 2 times as long for 4 and 8 bits.) Where
  // unpacking takes more steps, more than a block of rows is worth unpacking for.
  template <typename F>
  struct FewRows {
    static constexpr int kLimit = F::kPlaneBits > 0 || F::kCodes ? 4 : 24;
    static constexpr int kRows = 4;
    static constexpr int Width(int rows) { return rows == 1 ? 4 : 2; }
  };
  // Many rows go by 3 × 16 outputs: 6 integer and 6 scaled sums, which stay in the 16 registers
  // beside 2 of weights, 1 of x and 1 of pairs of products (2 % faster than 4 × 16, whose scaled
  // sums spill to L1; 2 × 16, 5 × 16, 6 × 16, 2 × 32 and 4 × 8 are slower). What bounds them: of a
  // group's operations for 8 outputs, 8 vpmaddubsw, 1 vpmaddwd, 1 multiplication and 1 or 2 fma
  // share two ports, of which these blocks use 85 to 90 %.
  template <typename F>
  struct ManyRows {
    static constexpr bool kUnpacks = true;
    static constexpr int kRows = 3;
    static constexpr int Width(int) { return 2; }
  };
  static constexpr int kUnpackWidth = 2;
  static constexpr int kBf16Rows = 4;
  static constexpr int kBf16Width = 2;

  // -- Bytes --

  [[gnu::always_inline]] static Bytes Load(const uint8_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
  }
  [[gnu::always_inline]] static void Store(uint8_t* at, Bytes v) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(at), v);
  }
  [[gnu::always_inline]] static Bytes EachByte(int byte) {
    return _mm256_set1_epi8(static_cast<char>(byte));
  }
  [[gnu::always_inline]] static Bytes And(Bytes a, Bytes b) { return _mm256_and_si256(a, b); }
  [[gnu::always_inline]] static Bytes Xor(Bytes a, Bytes b) { return _mm256_xor_si256(a, b); }
  // low | (high & mask)
  [[gnu::always_inline]] static Bytes OrMasked(Bytes low, Bytes high, Bytes mask) {
    return _mm256_or_si256(low, _mm256_and_si256(high, mask));
  }
  // Of 16-bit elements.
  [[gnu::always_inline]] static Bytes ShiftLeft(Bytes v, int bits) {
    return _mm256_slli_epi16(v, bits);
  }
  [[gnu::always_inline]] static Bytes ShiftRight(Bytes v, int bits) {
    return _mm256_srli_epi16(v, bits);
  }
  [[gnu::always_inline]] static Bytes LoadCodebook(const int8_t* codebook) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codebook)));
  }
  [[gnu::always_inline]] static Bytes Look(Bytes codebook, Bytes codes) {
    return _mm256_shuffle_epi8(codebook, codes);
  }

  [[gnu::always_inline]] static Bytes EachInt(int32_t v) { return _mm256_set1_epi32(v); }

  // -- Products of bytes --

  // vpmaddubsw's 16-bit sums hold a bounded number of products, and are widened to 32 bits before
  // they can overflow.
  template <typename F>
  class Products {
   public:
    [[gnu::always_inline]] void Begin(int32_t start) { start_ = start; }

    [[gnu::always_inline]] void Add(int quad, Bytes w, Bytes x) {
      Bytes pairs;
      if constexpr (kSigned) {
        pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
      } else {
        pairs = _mm256_maddubs_epi16(w, x);
      }
      narrow_ = quad % kNarrowQuads == 0 ? pairs : _mm256_add_epi16(narrow_, pairs);
      KeepOrder(narrow_);
      if (quad % kNarrowQuads != kNarrowQuads - 1) return;
      const Bytes wide = _mm256_madd_epi16(narrow_, _mm256_set1_epi16(1));
      sums_ = quad < kNarrowQuads ? wide : _mm256_add_epi32(sums_, wide);
      KeepOrder(sums_);
    }

    [[gnu::always_inline]] Floats Sum() const {
      if constexpr (F::kOffset || kSigned) return _mm256_cvtepi32_ps(sums_);
      return _mm256_cvtepi32_ps(_mm256_add_epi32(sums_, _mm256_set1_epi32(start_)));
    }

   private:
    // gcc 12 would add up all pairs of a group as a tree, for which registers do not suffice: with
    // the chains that stand here, 4-bit weights are 1.4 times as fast.
    [[gnu::always_inline]] static void KeepOrder(Bytes& sum) { asm("" : "+x"(sum)); }

    static constexpr bool kSigned = kReadsSigned<ProductVector256, F>;
    // Quads whose pairs of products fit 16 bits together: 2 · 127 · (2^bits − 1) · quads < 2^15. Of
    // signed bytes one pair is 2 · 127 · 128 at most.
    static constexpr int kLargestNarrow = kSigned ? 1 : F::kBits < 5 ? 8 : F::kBits == 5 ? 4 : 2;
    static constexpr int kNarrowQuads = kLargestNarrow < F::kQuads ? kLargestNarrow : F::kQuads;

    int32_t start_;
    Bytes narrow_;
    Bytes sums_;
  };

  // -- Floats --

  [[gnu::always_inline]] static Floats EachFloat(float v) { return _mm256_set1_ps(v); }
  [[gnu::always_inline]] static Floats LoadFloats(const float* at) { return _mm256_loadu_ps(at); }
  [[gnu::always_inline]] static void StoreFloats(float* at, Floats v) { _mm256_storeu_ps(at, v); }
  [[gnu::always_inline]] static Floats LoadHalves(const uint8_t* at) {
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(at)));
  }
  [[gnu::always_inline]] static Floats Multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  [[gnu::always_inline]] static Floats Fma(Floats a, Floats b, Floats c) {
    return _mm256_fmadd_ps(a, b, c);
  }

  // -- bf16 --

  struct Bf16Pairs {
    Floats even;
    Floats odd;
  };
  [[gnu::always_inline]] static Bf16Pairs ReadBf16(Bytes pairs) {
    return {EvenBf16(pairs).v, OddBf16(pairs).v};
  }
  [[gnu::always_inline]] static Floats AddBf16(Floats sums, Bf16Pairs w, Bf16Pairs x) {
    return _mm256_fmadd_ps(w.odd, x.odd, _mm256_fmadd_ps(w.even, x.even, sums));
  }
};

}  // namespace
}  // namespace reprise

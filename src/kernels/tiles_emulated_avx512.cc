// The tile instructions in vector code, of the same bits: slow, for tests and for looking at what
// Isa::kAmx computes where there is none.

#include <immintrin.h>

#include <cstring>

#include "base/check.h"
#include "kernels/simd_avx512.h"
#include "kernels/tiles.h"

namespace reprise::tiles_emulated {
namespace {

struct EmulatedTile {
  TileShape shape;
  alignas(64) uint8_t rows[kTileRows][kTileRowBytes];
};

// Of the calling thread.
thread_local EmulatedTile t_tiles[kTiles] = {};

const EmulatedTile& Used(int tile) {
  CHECK(t_tiles[tile].shape.rows > 0, "tiles are configured");
  return t_tiles[tile];
}

struct Operands {
  EmulatedTile& c;
  const EmulatedTile& a;
  const EmulatedTile& b;
};

Operands OperandsOf(int c, int a, int b) {
  CHECK(c != a && c != b && a != b, "three tiles");
  CHECK(Used(a).shape.rows == Used(c).shape.rows && Used(b).shape.bytes == Used(c).shape.bytes &&
            Used(a).shape.bytes == 4 * Used(b).shape.rows,
        "shapes of tiles fit each other");
  return {t_tiles[c], t_tiles[a], t_tiles[b]};
}

enum class Sign : uint8_t { kSigned, kUnsigned };

// Byte `i` of each 32 bits, widened.
template <Sign kSign>
__m512i ByteOfEach(__m512i values, int i) {
  if (kSign == Sign::kUnsigned) {
    return _mm512_and_si512(_mm512_srl_epi32(values, _mm_cvtsi32_si128(8 * i)),
                            _mm512_set1_epi32(0xff));
  }
  return _mm512_srai_epi32(_mm512_sll_epi32(values, _mm_cvtsi32_si128(24 - 8 * i)), 24);
}

// A is signed.
template <Sign kB>
void MultiplyBytes(const Operands& of) {
  for (int m = 0; m < of.c.shape.rows; ++m) {
    __m512i sums = _mm512_load_si512(of.c.rows[m]);
    for (int k = 0; k < of.b.shape.rows; ++k) {
      const __m512i b = _mm512_load_si512(of.b.rows[k]);
      for (int i = 0; i < 4; ++i) {
        const int a = int{static_cast<int8_t>(of.a.rows[m][4 * k + i])};
        sums =
            _mm512_add_epi32(sums, _mm512_mullo_epi32(_mm512_set1_epi32(a), ByteOfEach<kB>(b, i)));
      }
    }
    _mm512_store_si512(of.c.rows[m], sums);
  }
}

}  // namespace

void Configure(const TileShapes& shapes) {
  for (int t = 0; t < kTiles; ++t) {
    const TileShape shape = shapes[t];
    CHECK(shape.rows >= 1 && shape.rows <= kTileRows && shape.bytes >= 4 &&
              shape.bytes <= kTileRowBytes && shape.bytes % 4 == 0,
          "a shape that tiles can have");
    t_tiles[t].shape = shape;
    Zero(t);
  }
}

void Release() {
  for (EmulatedTile& tile : t_tiles) tile.shape = {};
}

void Zero(int tile) { std::memset(t_tiles[tile].rows, 0, sizeof(t_tiles[tile].rows)); }

void Load(int tile, const void* from, ptrdiff_t stride) {
  const TileShape shape = Used(tile).shape;
  Zero(tile);
  for (int r = 0; r < shape.rows; ++r) {
    std::memcpy(t_tiles[tile].rows[r], static_cast<const uint8_t*>(from) + r * stride,
                static_cast<size_t>(shape.bytes));
  }
}

void Store(int tile, void* to, ptrdiff_t stride) {
  const EmulatedTile& used = Used(tile);
  for (int r = 0; r < used.shape.rows; ++r) {
    std::memcpy(static_cast<uint8_t*>(to) + r * stride, used.rows[r],
                static_cast<size_t>(used.shape.bytes));
  }
}

// Beyond the shape of B and C there are zeros, whose sums are zeros.
void MultiplySS(int c, int a, int b) { MultiplyBytes<Sign::kSigned>(OperandsOf(c, a, b)); }
void MultiplySU(int c, int a, int b) { MultiplyBytes<Sign::kUnsigned>(OperandsOf(c, a, b)); }

void MultiplyBf16(int c, int a, int b) {
  const Operands of = OperandsOf(c, a, b);
  const FlushDenormals flush;
  const auto inside = static_cast<__mmask16>((1U << (of.c.shape.bytes / 4)) - 1);
  for (int m = 0; m < of.c.shape.rows; ++m) {
    __m512 even = _mm512_setzero_ps();
    __m512 odd = _mm512_setzero_ps();
    for (int k = 0; k < of.b.shape.rows; ++k) {
      int32_t pair;
      std::memcpy(&pair, of.a.rows[m] + 4 * k, sizeof(pair));
      const __m512i as = _mm512_set1_epi32(pair);
      const __m512i bs = _mm512_load_si512(of.b.rows[k]);
      even = _mm512_fmadd_ps(EvenBf16(as).v, EvenBf16(bs).v, even);
      odd = _mm512_fmadd_ps(OddBf16(as).v, OddBf16(bs).v, odd);
    }
    const __m512 sums = _mm512_add_ps(_mm512_load_ps(of.c.rows[m]), _mm512_add_ps(even, odd));
    // An infinity in A makes NaN of the zeros beyond the shape.
    _mm512_store_ps(of.c.rows[m], _mm512_maskz_mov_ps(inside, sums));
  }
}

}  // namespace reprise::tiles_emulated

#pragma once

// The tile instructions of AMX behind one interface, and the same in plain vector code: kernels are
// templates over HardwareTiles or EmulatedTiles, and so run, and are tested, where there is no AMX.
// Instructions as in Intel's Software Developer's Manual, volume 2 (LDTILECFG, TDPB*, TDPBF16PS).
//
// There are eight tiles of up to 16 rows of up to 64 bytes. What a tile's shape leaves out of these
// is not read, and stays 0. T, C, A and B are numbers of tiles, 0..7, constants since the
// instructions encode them. C is [M, N] of 32 bits, A [M, 4K bytes], B [K, N] of 32 bits:
//
//   MultiplySS<C, A, B>()    C[m][n] += Σ_k Σ_i A[m][4k + i] · B[k][4n + i], int8 · int8 in int32
//   MultiplySU               the same of signed A and unsigned B
//   MultiplyBf16<C, A, B>()  f32: even = Σ_k A[m][2k] · B[k][2n] from +0 in ascending k, each step
//                            an fma; odd the same of 2k + 1 and 2n + 1; C[m][n] += even + odd
//
// Of MultiplyBf16, denormal operands and results count as zero (of their sign), rounding is to
// nearest even, MXCSR plays no part. Sums in vector code that follow this order under
// FlushDenormals have the same bits, but for which of several NaNs it is.
//
// Tiles are the calling thread's own, and configured by the guard Tiled alone, in each call of a
// kernel: no thread needs preparing, and none keeps them (about 250 cycles a call). Between threads
// nothing is shared. HardwareTiles REQUIRES that Isa::kAmx is offered, without it the first
// instruction is SIGILL; EmulatedTiles that Isa::kAmxEmulated is. A product of shapes that do not
// fit each other is SIGILL, or ends the process under emulation.

#include <xmmintrin.h>

#include <cstddef>
#include <cstdint>

namespace reprise {

struct TileShape {
  int rows;   // 1..16
  int bytes;  // of a row: a multiple of 4, 4..64
};

inline constexpr int kTiles = 8;
inline constexpr int kTileRows = 16;
inline constexpr int kTileRowBytes = 64;
using TileShapes = TileShape[kTiles];

// The instructions. In assembler, since the intrinsics of gcc 12 name tiles by preprocessing and do
// not say that they read memory, so that stores of what a tile is to be loaded with may sink below.
struct HardwareTiles {
  static void Configure(const TileShapes& shapes) {
    struct alignas(64) {
      uint8_t palette;
      uint8_t start_row;
      uint8_t reserved[14];
      uint16_t bytes[16];
      uint8_t rows[16];
    } config = {.palette = 1, .start_row = 0, .reserved = {}, .bytes = {}, .rows = {}};
    static_assert(sizeof(config) == 64);
    for (int t = 0; t < kTiles; ++t) {
      config.bytes[t] = static_cast<uint16_t>(shapes[t].bytes);
      config.rows[t] = static_cast<uint8_t>(shapes[t].rows);
    }
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  static void Release() { asm volatile("tilerelease"); }

  template <int T>
  [[gnu::always_inline]] static void Zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(T));
  }
  // Rows from `from` on, `stride` bytes apart.
  template <int T>
  [[gnu::always_inline]] static void Load(const void* from, ptrdiff_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  [[gnu::always_inline]] static void Store(void* to, ptrdiff_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] static void MultiplySS() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] static void MultiplySU() {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] static void MultiplyBf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
};

// What EmulatedTiles do (tiles_emulated_avx512.cc), with the numbers of tiles at run time.
namespace tiles_emulated {
void Configure(const TileShapes& shapes);
void Release();  // no tile has a shape then
void Zero(int tile);
void Load(int tile, const void* from, ptrdiff_t stride);
void Store(int tile, void* to, ptrdiff_t stride);
void MultiplySS(int c, int a, int b);
void MultiplySU(int c, int a, int b);
void MultiplyBf16(int c, int a, int b);
}  // namespace tiles_emulated

struct EmulatedTiles {
  [[gnu::always_inline]] static void Configure(const TileShapes& shapes) {
    tiles_emulated::Configure(shapes);
  }
  [[gnu::always_inline]] static void Release() { tiles_emulated::Release(); }
  template <int T>
  [[gnu::always_inline]] static void Zero() {
    tiles_emulated::Zero(T);
  }
  template <int T>
  [[gnu::always_inline]] static void Load(const void* from, ptrdiff_t stride) {
    tiles_emulated::Load(T, from, stride);
  }
  template <int T>
  [[gnu::always_inline]] static void Store(void* to, ptrdiff_t stride) {
    tiles_emulated::Store(T, to, stride);
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] static void MultiplySS() {
    tiles_emulated::MultiplySS(C, A, B);
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] static void MultiplySU() {
    tiles_emulated::MultiplySU(C, A, B);
  }
  template <int C, int A, int B>
  [[gnu::always_inline]] static void MultiplyBf16() {
    tiles_emulated::MultiplyBf16(C, A, B);
  }
};

// While one lives, the thread has tiles of these shapes. They do not nest.
template <typename Tiles>
class Tiled {
 public:
  explicit Tiled(const TileShapes& shapes) { Tiles::Configure(shapes); }
  Tiled(const Tiled&) = delete;
  Tiled& operator=(const Tiled&) = delete;
  ~Tiled() { Tiles::Release(); }
};

// While one lives, vector code of the thread takes denormals for zero and rounds to nearest even.
class FlushDenormals {
 public:
  FlushDenormals() : mxcsr_(_mm_getcsr()) {
    constexpr unsigned kFlushToZero = 0x8000;
    constexpr unsigned kDenormalsAreZero = 0x0040;
    constexpr unsigned kRounding = 0x6000;
    _mm_setcsr((mxcsr_ & ~kRounding) | kFlushToZero | kDenormalsAreZero);
    asm volatile("" : : : "memory");  // operands are loaded after this, results stored before
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
  ~FlushDenormals() {
    asm volatile("" : : : "memory");
    _mm_setcsr(mxcsr_);
  }

 private:
  unsigned mxcsr_;
};

}  // namespace reprise

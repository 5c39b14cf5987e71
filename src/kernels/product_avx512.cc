// Products for AVX-512 with VNNI and bf16.
//
// Weights of 4 and 8 bits are multiplied straight from the packed record, by 4 rows × 64 outputs at
// a time: their unpacking hides in the register ports that vpdpbusd leaves free (measured: 300
// GOP/s a core against 270 from unpacked bytes, which take twice the loads). Weights of 5 and 6
// bits take more steps to unpack, so for many rows a run of groups is unpacked to L1 first (300
// against 260). Either way Scale() follows each group in the same order, so a row's bits are the
// same.

#include <immintrin.h>

#include "kernels/product.h"

namespace reprise::avx512 {
namespace {

#include "kernels/product_exact_kernel.h"

constexpr int kVectors = kTileOutputs / 16;  // registers across a tile
constexpr int kRowBlock = 4;

// Of weights worth unpacking to L1, up to here rows are multiplied straight from the record.
constexpr int kDirectRows = 2 * kRowBlock;

template <int kBits_, int kGroup_, bool kOffset_>
struct Format {
  static constexpr int kBits = kBits_;
  static constexpr int kGroup = kGroup_;
  static constexpr bool kOffset = kOffset_;
  static constexpr int kZero = kOffset ? 0 : 1 << (kBits - 1);
  static constexpr int kQuads = kGroup / 4;
  static constexpr int kValueBytes = kTileOutputs * kGroup * kBits / 8;
  static constexpr int kRecordBytes = kValueBytes + (kOffset ? 4 : 2) * kTileOutputs;
  // Unpacked: bytes, then d (and m) in f32.
  static constexpr int kUnpackedBytes = kTileOutputs * (kGroup + (kOffset ? 8 : 4));
  static constexpr int kRun = kUnpackInputs / kGroup;  // groups unpacked at a time
};

[[gnu::always_inline]] inline __m512i LoadBytes(const uint8_t* at) { return _mm512_load_si512(at); }

// Walks the quads of one record: Next() gives quads 2j and 2j + 1 of outputs 16c .. 16c + 15, for
// j ascending and c = 0 .. 3 within.
template <typename F>
class QuadReader {
 public:
  [[gnu::always_inline]] explicit QuadReader(const uint8_t* record) : at_(record) {
    if constexpr (F::kBits == 5 || F::kBits == 6) {
      for (int c = 0; c < kVectors; ++c) {
        planes_[c] = LoadBytes(record + kTileOutputs * F::kGroup / 2 + 64 * c);
      }
    }
  }

  [[gnu::always_inline]] void Next(int c, __m512i& even, __m512i& odd) {
    if constexpr (F::kBits == 8) {
      even = LoadBytes(at_);
      odd = LoadBytes(at_ + 64 * kVectors);
      at_ += c == kVectors - 1 ? 64 * (kVectors + 1) : 64;
      return;
    }
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i packed = LoadBytes(at_);
    at_ += 64;
    even = _mm512_and_si512(packed, nibble);
    odd = _mm512_and_si512(_mm512_srli_epi16(packed, 4), nibble);
    if constexpr (F::kBits == 5 || F::kBits == 6) {
      even = AddPlane(c, even);
      odd = AddPlane(c, odd);
    }
  }

 private:
  static constexpr int kPlaneBits = F::kBits - 4;

  // Bits that a 16-bit shift carries over from the neighbouring byte are masked away.
  [[gnu::always_inline]] __m512i AddPlane(int c, __m512i low) {
    const __m512i mask = _mm512_set1_epi8(static_cast<char>(((1 << kPlaneBits) - 1) << 4));
    const __m512i high = _mm512_slli_epi16(planes_[c], 4);
    planes_[c] = _mm512_srli_epi16(planes_[c], kPlaneBits);
    return _mm512_ternarylogic_epi64(low, high, mask, 0xf8);  // low | (high & mask)
  }

  const uint8_t* at_;
  __m512i planes_[kVectors];
};

[[gnu::always_inline]] inline __m512 LoadHalves(const uint8_t* at) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(at)));
}

[[gnu::always_inline]] inline __m512i BroadcastQuad(const int8_t* at) {
  int32_t quad;
  __builtin_memcpy(&quad, at, sizeof(quad));
  return _mm512_set1_epi32(quad);
}

// What a block of rows needs of x, from group `g` of the row on.
template <typename F, int kRows>
struct RowCursor {
  const int8_t* q[kRows];
  const float* scale[kRows];
  const float* scaled_sum[kRows];
  const int32_t* half_sums[kRows];

  [[gnu::always_inline]] RowCursor(const QuantizedRows& x, int row, int64_t g) {
    for (int r = 0; r < kRows; ++r) {
      const ptrdiff_t groups = (row + r) * x.group_stride;
      q[r] = x.q + (row + r) * x.q_stride + g * F::kGroup;
      scale[r] = x.scale + groups;
      scaled_sum[r] = x.scaled_sum + groups;
      half_sums[r] = x.half_sums + 2 * groups;
    }
  }

  // The accumulator's start: -zero times the sum of the group's activations.
  [[gnu::always_inline]] __m512i Start(int r, int64_t g) const {
    if constexpr (F::kOffset) return _mm512_setzero_si512();
    const int32_t sum =
        F::kGroup == 16 ? half_sums[r][g] : half_sums[r][2 * g] + half_sums[r][2 * g + 1];
    return _mm512_set1_epi32(-F::kZero * sum);
  }
};

// The formula's two steps after a group, the only place that rounds.
template <typename F, int kRows>
[[gnu::always_inline]] inline __m512 Scale(const RowCursor<F, kRows>& x, int r, int64_t g,
                                           __m512i products, __m512 d, __m512 m, __m512 sum) {
  const int64_t at = g * F::kGroup / kActivationGroup;
  const __m512 scaled = _mm512_mul_ps(d, _mm512_set1_ps(x.scale[r][at]));
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scaled, sum);
  if constexpr (F::kOffset) {
    sum = _mm512_fmadd_ps(m, _mm512_set1_ps(x.scaled_sum[r][at]), sum);
  }
  return sum;
}

// -- Straight from the record ------------------------------------------------------------------

template <typename F, int kRows>
void DirectBlock(const TileCall& call, int row) {
  const int64_t groups = call.columns / F::kGroup;
  RowCursor<F, kRows> x(*call.quantized, call.first_row + row, 0);
  __m512 sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) sums[r][c] = _mm512_setzero_ps();
  }
  const uint8_t* record = call.tile;
  for (int64_t g = 0; g < groups; ++g, record += F::kRecordBytes) {
    __m512i products[kRows][kVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kVectors; ++c) products[r][c] = x.Start(r, g);
    }
    QuadReader<F> quads(record);
#pragma GCC unroll 4
    for (int j = 0; j < F::kQuads / 2; ++j) {
      __m512i even_x[kRows];
      __m512i odd_x[kRows];
      for (int r = 0; r < kRows; ++r) {
        even_x[r] = BroadcastQuad(x.q[r] + 8 * j);
        odd_x[r] = BroadcastQuad(x.q[r] + 8 * j + 4);
      }
#pragma GCC unroll 4
      for (int c = 0; c < kVectors; ++c) {
        __m512i even;
        __m512i odd;
        quads.Next(c, even, odd);
        for (int r = 0; r < kRows; ++r) {
          products[r][c] = _mm512_dpbusd_epi32(products[r][c], even, even_x[r]);
          products[r][c] = _mm512_dpbusd_epi32(products[r][c], odd, odd_x[r]);
        }
      }
    }
    const uint8_t* const factors = record + F::kValueBytes;
    for (int c = 0; c < kVectors; ++c) {
      const __m512 d = LoadHalves(factors + 32 * c);
      const __m512 m = F::kOffset ? LoadHalves(factors + 2 * kTileOutputs + 32 * c) : d;
      for (int r = 0; r < kRows; ++r) sums[r][c] = Scale(x, r, g, products[r][c], d, m, sums[r][c]);
    }
    for (int r = 0; r < kRows; ++r) x.q[r] += F::kGroup;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) {
      _mm512_storeu_ps(call.y + (row + r) * call.y_stride + 16 * c, sums[r][c]);
    }
  }
}

// -- From unpacked runs -------------------------------------------------------------------------

template <typename F>
void UnpackRun(const uint8_t* record, int groups, uint8_t* out) {
  for (int g = 0; g < groups; ++g, record += F::kRecordBytes, out += F::kUnpackedBytes) {
    QuadReader<F> quads(record);
    for (int j = 0; j < F::kQuads / 2; ++j) {
      for (int c = 0; c < kVectors; ++c) {
        __m512i even;
        __m512i odd;
        quads.Next(c, even, odd);
        _mm512_store_si512(out + 64 * (2 * j * kVectors + c), even);
        _mm512_store_si512(out + 64 * ((2 * j + 1) * kVectors + c), odd);
      }
    }
    auto* const factors = reinterpret_cast<float*>(out + kTileOutputs * F::kGroup);
    for (int c = 0; c < (F::kOffset ? 2 : 1) * kVectors; ++c) {
      _mm512_store_ps(factors + 16 * c, LoadHalves(record + F::kValueBytes + 32 * c));
    }
  }
}

// Adds a run of groups to the sums in y (the first run starts them).
template <typename F, int kRows>
void UnpackedBlock(const TileCall& call, int row, int64_t first_group, int groups) {
  RowCursor<F, kRows> x(*call.quantized, call.first_row + row, first_group);
  float* const y = call.y + row * call.y_stride;
  __m512 sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) {
      sums[r][c] =
          first_group == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(y + r * call.y_stride + 16 * c);
    }
  }
  const uint8_t* unpacked = call.scratch;
  for (int64_t g = first_group; g < first_group + groups; ++g, unpacked += F::kUnpackedBytes) {
    __m512i products[kRows][kVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kVectors; ++c) products[r][c] = x.Start(r, g);
    }
#pragma GCC unroll 8
    for (int quad = 0; quad < F::kQuads; ++quad) {
      __m512i xs[kRows];
      for (int r = 0; r < kRows; ++r) xs[r] = BroadcastQuad(x.q[r] + 4 * quad);
      for (int c = 0; c < kVectors; ++c) {
        const __m512i w = LoadBytes(unpacked + 64 * (quad * kVectors + c));
        for (int r = 0; r < kRows; ++r) {
          products[r][c] = _mm512_dpbusd_epi32(products[r][c], w, xs[r]);
        }
      }
    }
    const auto* const factors = reinterpret_cast<const float*>(unpacked + kTileOutputs * F::kGroup);
    for (int c = 0; c < kVectors; ++c) {
      const __m512 d = _mm512_load_ps(factors + 16 * c);
      const __m512 m = F::kOffset ? _mm512_load_ps(factors + kTileOutputs + 16 * c) : d;
      for (int r = 0; r < kRows; ++r) sums[r][c] = Scale(x, r, g, products[r][c], d, m, sums[r][c]);
    }
    for (int r = 0; r < kRows; ++r) x.q[r] += F::kGroup;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) {
      _mm512_storeu_ps(y + r * call.y_stride + 16 * c, sums[r][c]);
    }
  }
}

template <typename F>
void UnpackedTile(const TileCall& call) {
  static_assert(F::kRun * F::kUnpackedBytes <= kTileScratchBytes);
  const int64_t groups = call.columns / F::kGroup;
  for (int64_t g = 0; g < groups; g += F::kRun) {
    const int run = static_cast<int>(groups - g < F::kRun ? groups - g : F::kRun);
    UnpackRun<F>(call.tile + g * F::kRecordBytes, run, call.scratch);
    int row = 0;
    for (; row + 4 <= call.rows; row += 4) UnpackedBlock<F, 4>(call, row, g, run);
    switch (call.rows - row) {
      case 3:
        UnpackedBlock<F, 3>(call, row, g, run);
        break;
      case 2:
        UnpackedBlock<F, 2>(call, row, g, run);
        break;
      case 1:
        UnpackedBlock<F, 1>(call, row, g, run);
        break;
      default:
        break;
    }
  }
}

template <typename F>
void FormatTile(const TileCall& call) {
  if constexpr (F::kBits == 5 || F::kBits == 6) {
    if (call.rows > kDirectRows) return UnpackedTile<F>(call);
  }
  int row = 0;
  for (; row + 4 <= call.rows; row += 4) DirectBlock<F, 4>(call, row);
  switch (call.rows - row) {
    case 3:
      return DirectBlock<F, 3>(call, row);
    case 2:
      return DirectBlock<F, 2>(call, row);
    case 1:
      return DirectBlock<F, 1>(call, row);
    default:
      return;
  }
}

void QuantizedTile(const TileCall& call) {
  const PackedFormat& format = *call.format;
  switch (format.bits) {
    case 4:
      return format.offset ? FormatTile<Format<4, 32, true>>(call)
                           : FormatTile<Format<4, 32, false>>(call);
    case 5:
      return format.offset ? FormatTile<Format<5, 32, true>>(call)
                           : FormatTile<Format<5, 32, false>>(call);
    case 6:
      return FormatTile<Format<6, 16, false>>(call);
    default:
      return FormatTile<Format<8, 32, false>>(call);
  }
}

// -- Activations --------------------------------------------------------------------------------

void QuantizeRow(const float* x, int columns, const QuantizedRows& out, int row) {
  const __m512i magnitude_bits = _mm512_set1_epi32(0x7fffffff);
  for (int g = 0; g < columns / kActivationGroup; ++g, x += kActivationGroup) {
    const ptrdiff_t at = row * out.group_stride + g;
    int8_t* const q = out.q + row * out.q_stride + g * kActivationGroup;
    const __m512 low = _mm512_loadu_ps(x);
    const __m512 high = _mm512_loadu_ps(x + 16);
    // Bits of |x| are ordered as the numbers are, infinity and NaN on top.
    const auto largest = _mm512_reduce_max_epu32(
        _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(low), magnitude_bits),
                         _mm512_and_si512(_mm512_castps_si512(high), magnitude_bits)));
    float magnitude;
    __builtin_memcpy(&magnitude, &largest, sizeof(magnitude));
    const bool finite = largest < 0x7f800000u;
    if (!finite || magnitude < 0x1p-100F) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm256_setzero_si256());
      out.scale[at] = out.scaled_sum[at] = finite ? 0.0F : __builtin_nanf("");
      out.half_sums[2 * at] = out.half_sums[2 * at + 1] = 0;
      continue;
    }
    const __m512 inverse = _mm512_set1_ps(127.0F / magnitude);
    const __m512i low_q = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
    const __m512i high_q = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtsepi32_epi8(low_q));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16), _mm512_cvtsepi32_epi8(high_q));
    const int32_t low_sum = _mm512_reduce_add_epi32(low_q);
    const int32_t high_sum = _mm512_reduce_add_epi32(high_q);
    out.half_sums[2 * at] = low_sum;
    out.half_sums[2 * at + 1] = high_sum;
    out.scale[at] = magnitude / 127.0F;
    out.scaled_sum[at] = out.scale[at] * static_cast<float>(low_sum + high_sum);
  }
}

void RoundRow(const float* x, int columns, const Bf16Rows& out, int row) {
  uint16_t* const to = out.x + row * out.stride;
  int i = 0;
  for (; i < columns; i += 16) {
    const int left = columns - i;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i));
    // A last odd column is followed by the 0 that completes its pair.
    const auto pairs = static_cast<__mmask16>(mask | (mask << 1));
    _mm256_mask_storeu_epi16(to + i, left >= 16 ? mask : pairs, reinterpret_cast<__m256i>(rounded));
  }
}

// -- 16-bit weights -----------------------------------------------------------------------------

constexpr int kBf16RowBlock = 6;    // 24 accumulators, 6 registers of x, 1 of weights
constexpr int64_t kRunPairs = 128;  // 32 KiB of a tile for all rows: L1 and a little L2

template <int kRows>
void Bf16Block(const TileCall& call, int row, int64_t first_pair, int64_t pairs) {
  const uint16_t* x[kRows];
  for (int r = 0; r < kRows; ++r) {
    x[r] = call.bf16->x + (call.first_row + row + r) * call.bf16->stride + 2 * first_pair;
  }
  float* const y = call.y + row * call.y_stride;
  __m512 sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) {
      sums[r][c] =
          first_pair == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(y + r * call.y_stride + 16 * c);
    }
  }
  const uint8_t* tile = call.tile + first_pair * kTileOutputs * 4;
  for (int64_t pair = 0; pair < pairs; ++pair, tile += kTileOutputs * 4) {
    __m512bh xs[kRows];
    for (int r = 0; r < kRows; ++r) {
      int32_t two;
      __builtin_memcpy(&two, x[r] + 2 * pair, sizeof(two));
      xs[r] = reinterpret_cast<__m512bh>(_mm512_set1_epi32(two));
    }
    for (int c = 0; c < kVectors; ++c) {
      const auto w = reinterpret_cast<__m512bh>(LoadBytes(tile + 64 * c));
      for (int r = 0; r < kRows; ++r) sums[r][c] = _mm512_dpbf16_ps(sums[r][c], w, xs[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) {
      _mm512_storeu_ps(y + r * call.y_stride + 16 * c, sums[r][c]);
    }
  }
}

void Bf16Rest(const TileCall& call, int row, int64_t pair, int64_t count) {
  switch (call.rows - row) {
    case 5:
      return Bf16Block<5>(call, row, pair, count);
    case 4:
      return Bf16Block<4>(call, row, pair, count);
    case 3:
      return Bf16Block<3>(call, row, pair, count);
    case 2:
      return Bf16Block<2>(call, row, pair, count);
    case 1:
      return Bf16Block<1>(call, row, pair, count);
    default:
      return;
  }
}

void Bf16Tile(const TileCall& call) {
  const int64_t pairs = (call.columns + 1) / 2;
  // Few rows pass over the tile once; more take it run by run.
  const int64_t run = call.rows <= kBf16RowBlock ? pairs : kRunPairs;
  for (int64_t pair = 0; pair < pairs; pair += run) {
    const int64_t count = pairs - pair < run ? pairs - pair : run;
    int row = 0;
    for (; row + kBf16RowBlock <= call.rows; row += kBf16RowBlock) {
      Bf16Block<kBf16RowBlock>(call, row, pair, count);
    }
    Bf16Rest(call, row, pair, count);
  }
}

}  // namespace

const ProductKernels kProduct = {.quantize_row = QuantizeRow,
                                 .round_row = RoundRow,
                                 .quantized_tile = QuantizedTile,
                                 .bf16_tile = Bf16Tile,
                                 .exact_rows = ExactRows};

}  // namespace reprise::avx512

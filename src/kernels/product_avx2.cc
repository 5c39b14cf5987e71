// Products for AVX2 with FMA: the integers of the formula come from vpmaddubsw, whose 16-bit sums
// hold a bounded number of products, and are widened to 32 bits before they can overflow.
//
// A run of groups of a tile is unpacked to bytes in L1, then 4 rows × 16 outputs at a time pass
// over it. One row takes the same way: it stays close to the memory's speed, and its bits are the
// same.

#include <immintrin.h>

#include "kernels/product.h"

namespace reprise::avx2 {
namespace {

#include "kernels/product_exact_kernel.h"

constexpr int kStep = 2;                          // registers across a step of 16 outputs
constexpr int kSteps = kTileOutputs / 8 / kStep;  // steps across a tile

enum class Kind : uint8_t { kSymmetric, kOffset, kCodes };

template <int kBits_, int kGroup_, Kind kKind>
struct Format {
  static constexpr int kBits = kBits_;
  static constexpr int kGroup = kGroup_;
  static constexpr bool kOffset = kKind == Kind::kOffset;
  static constexpr bool kCodes = kKind == Kind::kCodes;
  // Unpacked to signed bytes (q − zero), not to q.
  static constexpr bool kSigned = kBits == 8 || kCodes;
  static constexpr int kZero = kOffset || kSigned ? 0 : 1 << (kBits - 1);
  static constexpr int kLowBits = kBits < 4 ? 2 : kBits < 8 ? 4 : 8;
  static constexpr int kQuads = kGroup / 4;
  static constexpr int kValueBytes = kTileOutputs * kGroup * kBits / 8;
  static constexpr int kRecordBytes = kValueBytes + (kOffset ? 4 : 2) * kTileOutputs;
  static constexpr int kUnpackedBytes = kTileOutputs * (kGroup + (kOffset ? 8 : 4));
  static constexpr int kRun = kUnpackInputs / kGroup;
  // Quads whose pairs of products fit 16 bits together: 2 · 127 · (2^bits − 1) · quads < 2^15. Of
  // signed bytes one pair is 2 · 127 · 128 at most.
  static constexpr int kLargestNarrow = kSigned ? 1 : kBits < 5 ? 8 : kBits == 5 ? 4 : 2;
  static constexpr int kNarrowQuads = kLargestNarrow < kQuads ? kLargestNarrow : kQuads;
};

[[gnu::always_inline]] inline __m256i LoadBytes(const uint8_t* at) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
}
[[gnu::always_inline]] inline void StoreBytes(uint8_t* at, __m256i bytes) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(at), bytes);
}

// The bits above the low ones of quads 0, 1, … of 8 outputs, quad by quad.
template <typename F>
class PlaneReader {
 public:
  [[gnu::always_inline]] PlaneReader(const uint8_t* record, int v) {
    const uint8_t* const planes = record + kTileOutputs * F::kGroup * F::kLowBits / 8;
    if constexpr (kBits == 0) return;
    if constexpr (kBits * F::kGroup == 16) {  // half a byte: outputs 32 .. 63 lie above 0 .. 31
      plane_ = LoadBytes(planes + 32 * (v % 4));
      if (v >= 4) plane_ = _mm256_srli_epi16(plane_, 4);
    } else {
      plane_ = LoadBytes(planes + 32 * v);
    }
  }

  [[gnu::always_inline]] __m256i Add(__m256i low) {
    if constexpr (kBits == 0) return low;
    const __m256i mask = _mm256_set1_epi8(static_cast<char>(((1 << kBits) - 1) << F::kLowBits));
    const __m256i high = _mm256_and_si256(_mm256_slli_epi16(plane_, F::kLowBits), mask);
    plane_ = _mm256_srli_epi16(plane_, kBits);
    return _mm256_or_si256(low, high);
  }

 private:
  static constexpr int kBits = F::kBits - F::kLowBits;
  __m256i plane_ = _mm256_setzero_si256();
};

template <typename F>
void UnpackValues(const uint8_t* record, const int8_t* codebook, uint8_t* out) {
  constexpr int kQuadsOfByte = 8 / F::kLowBits;
  const __m256i mask = _mm256_set1_epi8((1 << F::kLowBits) - 1);
  __m256i codes = _mm256_setzero_si256();
  if constexpr (F::kCodes) {
    codes =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codebook)));
  }
#pragma GCC unroll 1  // with all unrolled, a row of 6-bit weights takes 5 % longer
  for (int v = 0; v < kTileOutputs / 8; ++v) {  // 8 outputs
    PlaneReader<F> planes(record, v);
#pragma GCC unroll 8
    for (int quad = 0; quad < F::kQuads; ++quad) {
      const uint8_t* const at = record + 4 * kTileOutputs * (quad / kQuadsOfByte) + 32 * v;
      const __m256i packed = _mm256_srli_epi16(LoadBytes(at), F::kLowBits * (quad % kQuadsOfByte));
      __m256i q = planes.Add(_mm256_and_si256(packed, mask));
      if constexpr (F::kCodes) q = _mm256_shuffle_epi8(codes, q);
      StoreBytes(out + 4 * kTileOutputs * quad + 32 * v, q);
    }
  }
}

template <typename F>
void UnpackRun(const TileCall& call, const uint8_t* record, int groups) {
  uint8_t* out = call.scratch;
  for (int g = 0; g < groups; ++g, record += F::kRecordBytes, out += F::kUnpackedBytes) {
    if constexpr (F::kBits == 8) {
      const __m256i zero = _mm256_set1_epi8(static_cast<char>(0x80));
      for (int i = 0; i < F::kValueBytes; i += 32) {
        StoreBytes(out + i, _mm256_xor_si256(LoadBytes(record + i), zero));
      }
    } else {
      UnpackValues<F>(record, call.format->codebook, out);
    }
    auto* const factors = reinterpret_cast<float*>(out + kTileOutputs * F::kGroup);
    for (int i = 0; i < (F::kOffset ? 2 : 1) * kTileOutputs; i += 8) {
      const auto* halves = reinterpret_cast<const __m128i*>(record + F::kValueBytes + 2 * i);
      _mm256_store_ps(factors + i, _mm256_cvtph_ps(_mm_load_si128(halves)));
    }
  }
}

// Sums of products of one group: kRows rows × 16 outputs, exact.
template <typename F, int kRows>
[[gnu::always_inline]] inline void MultiplyGroup(const uint8_t* w, const int8_t* const q[kRows],
                                                 __m256i products[kRows][kStep]) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (int first = 0; first < F::kQuads; first += F::kNarrowQuads) {
    __m256i narrow[kRows][kStep];
    for (int i = 0; i < F::kNarrowQuads; ++i) {
      const int quad = first + i;
      __m256i ws[kStep];
      for (int c = 0; c < kStep; ++c) ws[c] = LoadBytes(w + 4 * kTileOutputs * quad + 32 * c);
      for (int r = 0; r < kRows; ++r) {
        int32_t bytes;
        __builtin_memcpy(&bytes, q[r] + 4 * quad, sizeof(bytes));
        const __m256i x = _mm256_set1_epi32(bytes);
        for (int c = 0; c < kStep; ++c) {
          __m256i pair;
          if constexpr (F::kSigned) {
            pair = _mm256_maddubs_epi16(_mm256_abs_epi8(ws[c]), _mm256_sign_epi8(x, ws[c]));
          } else {
            pair = _mm256_maddubs_epi16(ws[c], x);
          }
          narrow[r][c] = i == 0 ? pair : _mm256_add_epi16(narrow[r][c], pair);
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kStep; ++c) {
        const __m256i wide = _mm256_madd_epi16(narrow[r][c], ones);
        products[r][c] = first == 0 ? wide : _mm256_add_epi32(products[r][c], wide);
      }
    }
  }
}

// Rows row .. row + kRows - 1 over an unpacked run. The sums [kRows, 64] stay in L1.
template <typename F, int kRows>
void UnpackedBlock(const QuantizedRows& x, int row, int64_t first_group, int groups,
                   const uint8_t* unpacked, float* sums) {
  for (int64_t g = first_group; g < first_group + groups; ++g, unpacked += F::kUnpackedBytes) {
    const int8_t* q[kRows];
    __m256i start[kRows];
    __m256 scale[kRows];
    __m256 scaled_sum[kRows];
    for (int r = 0; r < kRows; ++r) {
      const ptrdiff_t at = (row + r) * x.group_stride + g * F::kGroup / kActivationGroup;
      q[r] = x.q + (row + r) * x.q_stride + g * F::kGroup;
      scale[r] = _mm256_set1_ps(x.scale[at]);
      const int32_t* const halves =
          x.half_sums + 2 * (row + r) * x.group_stride + g * F::kGroup / 16;
      const int32_t sum = F::kGroup == 16 ? halves[0] : halves[0] + halves[1];
      start[r] = _mm256_set1_epi32(-F::kZero * sum);
      scaled_sum[r] = _mm256_set1_ps(F::kGroup == 16 ? x.scale[at] * static_cast<float>(sum)
                                                     : x.scaled_sum[at]);
    }
    const auto* const factors = reinterpret_cast<const float*>(unpacked + kTileOutputs * F::kGroup);
    for (int step = 0; step < kSteps; ++step) {
      __m256i products[kRows][kStep];
      MultiplyGroup<F, kRows>(unpacked + 32 * kStep * step, q, products);
      for (int c = 0; c < kStep; ++c) {
        const int output = 8 * (kStep * step + c);
        const __m256 d = _mm256_load_ps(factors + output);
        for (int r = 0; r < kRows; ++r) {
          float* const at = sums + r * kTileOutputs + output;
          if constexpr (F::kZero != 0) {
            products[r][c] = _mm256_add_epi32(products[r][c], start[r]);
          }
          __m256 sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products[r][c]),
                                       _mm256_mul_ps(d, scale[r]), _mm256_load_ps(at));
          if constexpr (F::kOffset) {
            const __m256 m = _mm256_load_ps(factors + kTileOutputs + output);
            sum = _mm256_fmadd_ps(m, scaled_sum[r], sum);
          }
          _mm256_store_ps(at, sum);
        }
      }
    }
  }
}

template <typename F, int kRows>
void RunBlock(const TileCall& call, int row, int64_t first_group, int groups) {
  auto* const sums =
      reinterpret_cast<float*>(call.scratch + kTileScratchBytes) - kRows * kTileOutputs;
  float* const y = call.y + row * call.y_stride;
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kTileOutputs; n += 8) {
      _mm256_store_ps(
          sums + r * kTileOutputs + n,
          first_group == 0 ? _mm256_setzero_ps() : _mm256_loadu_ps(y + r * call.y_stride + n));
    }
  }
  UnpackedBlock<F, kRows>(*call.quantized, call.first_row + row, first_group, groups, call.scratch,
                          sums);
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kTileOutputs; n += 8) {
      _mm256_storeu_ps(y + r * call.y_stride + n, _mm256_load_ps(sums + r * kTileOutputs + n));
    }
  }
}

// Not inlined: all formats in one function cost a row of Q4_K about 5 %.
template <typename F>
[[gnu::noinline]] void FormatTile(const TileCall& call) {
  static_assert(F::kRun * F::kUnpackedBytes + 16 * kTileOutputs <= kTileScratchBytes);
  const int64_t groups = call.columns / F::kGroup;
  for (int64_t g = 0; g < groups; g += F::kRun) {
    const int run = static_cast<int>(groups - g < F::kRun ? groups - g : F::kRun);
    UnpackRun<F>(call, call.tile + g * F::kRecordBytes, run);
    int row = 0;
    for (; row + 4 <= call.rows; row += 4) RunBlock<F, 4>(call, row, g, run);
    for (; row < call.rows; ++row) RunBlock<F, 1>(call, row, g, run);
  }
}

void QuantizedTile(const TileCall& call) {
  const PackedFormat& format = *call.format;
  using enum Kind;
  switch (format.bits) {
    case 2:
      return FormatTile<Format<2, 16, kOffset>>(call);
    case 3:
      if (format.codebook == nullptr) return FormatTile<Format<3, 16, kSymmetric>>(call);
      return format.group == 16 ? FormatTile<Format<3, 16, kCodes>>(call)
                                : FormatTile<Format<3, 32, kCodes>>(call);
    case 4:
      if (format.codebook != nullptr) return FormatTile<Format<4, 32, kCodes>>(call);
      return format.offset ? FormatTile<Format<4, 32, kOffset>>(call)
                           : FormatTile<Format<4, 32, kSymmetric>>(call);
    case 5:
      return format.offset ? FormatTile<Format<5, 32, kOffset>>(call)
                           : FormatTile<Format<5, 32, kSymmetric>>(call);
    case 6:
      return FormatTile<Format<6, 16, kSymmetric>>(call);
    default:
      return FormatTile<Format<8, 32, kSymmetric>>(call);
  }
}

// -- Activations --------------------------------------------------------------------------------

uint32_t LargestBits(const float* x) {
  const __m256i magnitude_bits = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  for (int i = 0; i < kActivationGroup; i += 8) {
    const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + i));
    largest = _mm256_max_epu32(largest, _mm256_and_si256(bits, magnitude_bits));
  }
  alignas(32) uint32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), largest);
  for (int i = 1; i < 8; ++i) {
    if (lanes[i] > lanes[0]) lanes[0] = lanes[i];
  }
  return lanes[0];
}

void QuantizeRow(const float* x, int columns, const QuantizedRows& out, int row) {
  for (int g = 0; g < columns / kActivationGroup; ++g, x += kActivationGroup) {
    const ptrdiff_t at = row * out.group_stride + g;
    int8_t* const q = out.q + row * out.q_stride + g * kActivationGroup;
    int32_t* const half_sums = out.half_sums + 2 * at;
    const uint32_t largest = LargestBits(x);
    float magnitude;
    __builtin_memcpy(&magnitude, &largest, sizeof(magnitude));
    const bool finite = largest < 0x7f800000u;
    half_sums[0] = half_sums[1] = 0;
    if (!finite || magnitude < 0x1p-100F) {
      __builtin_memset(q, 0, kActivationGroup);
      out.scale[at] = out.scaled_sum[at] = finite ? 0.0F : __builtin_nanf("");
      continue;
    }
    const __m256 inverse = _mm256_set1_ps(127.0F / magnitude);
    for (int i = 0; i < kActivationGroup; i += 8) {
      alignas(32) int32_t lanes[8];
      _mm256_store_si256(reinterpret_cast<__m256i*>(lanes),
                         _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), inverse)));
      for (int j = 0; j < 8; ++j) {
        q[i + j] = static_cast<int8_t>(lanes[j]);
        half_sums[i / 16] += lanes[j];
      }
    }
    out.scale[at] = magnitude / 127.0F;
    out.scaled_sum[at] = out.scale[at] * static_cast<float>(half_sums[0] + half_sums[1]);
  }
}

void RoundRow(const float* x, int columns, const Bf16Rows& out, int row) {
  uint16_t* const to = out.x + row * out.stride;
  for (int i = 0; i < columns; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    to[i] = static_cast<uint16_t>(nan ? (bits >> 16) | 0x40u : rounded);
  }
  if (columns % 2 != 0) to[columns] = 0;
}

// -- 16-bit weights -----------------------------------------------------------------------------

[[gnu::always_inline]] inline __m256 EvenBf16(__m256i pairs) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}
[[gnu::always_inline]] inline __m256 OddBf16(__m256i pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-0x10000)));
}

// 16 outputs starting at `output`, over all pairs of inputs: runs of a tile that fit L1 cost up to
// 11 %, as each run loads and stores the sums in y.
template <int kRows>
void Bf16Step(const TileCall& call, int row, int output) {
  const uint16_t* x[kRows];
  __m256 sums[kRows][kStep];
  for (int r = 0; r < kRows; ++r) {
    x[r] = call.bf16->x + (call.first_row + row + r) * call.bf16->stride;
    for (int c = 0; c < kStep; ++c) sums[r][c] = _mm256_setzero_ps();
  }
  const uint8_t* tile = call.tile + output * 4;
  const int64_t pairs = (call.columns + 1) / 2;
  for (int64_t pair = 0; pair < pairs; ++pair, tile += kTileOutputs * 4) {
    __m256i ws[kStep];
    for (int c = 0; c < kStep; ++c) ws[c] = LoadBytes(tile + 32 * c);
    for (int r = 0; r < kRows; ++r) {
      int32_t two;
      __builtin_memcpy(&two, x[r] + 2 * pair, sizeof(two));
      const __m256i xs = _mm256_set1_epi32(two);
      for (int c = 0; c < kStep; ++c) {
        sums[r][c] = _mm256_fmadd_ps(EvenBf16(ws[c]), EvenBf16(xs), sums[r][c]);
        sums[r][c] = _mm256_fmadd_ps(OddBf16(ws[c]), OddBf16(xs), sums[r][c]);
      }
    }
  }
  float* const y = call.y + row * call.y_stride + output;
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kStep; ++c) _mm256_storeu_ps(y + r * call.y_stride + 8 * c, sums[r][c]);
  }
}

template <int kRows>
void Bf16Block(const TileCall& call, int row) {
  for (int output = 0; output < kTileOutputs; output += 8 * kStep) {
    Bf16Step<kRows>(call, row, output);
  }
}

void Bf16Tile(const TileCall& call) {
  int row = 0;
  for (; row + 4 <= call.rows; row += 4) Bf16Block<4>(call, row);
  for (; row < call.rows; ++row) Bf16Block<1>(call, row);
}

}  // namespace

const ProductKernels kProduct = {.quantize_row = QuantizeRow,
                                 .round_row = RoundRow,
                                 .quantized_tile = QuantizedTile,
                                 .bf16_tile = Bf16Tile,
                                 .exact_rows = ExactRows};

}  // namespace reprise::avx2

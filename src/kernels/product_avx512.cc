// Products for AVX-512 with VNNI and bf16.
//
// Weights of 4 and 8 bits are multiplied straight from the packed record: their unpacking hides in
// the register ports that vpdpbusd leaves free (measured with blocks of 4 rows x 64 outputs: 300
// GOP/s a core against 270 from unpacked bytes, which take twice the loads). Weights of 2, 3, 5 and
// 6 bits, and codes, take more steps to unpack, so for many rows a run of groups is unpacked to L1
// first (5 and 6 bits: 300 against 260). Either way Scale() follows each group in the same order,
// so a row's bits are the same.
//
// Many rows go by blocks of 6 rows × 32 outputs: 12 integer and 12 scaled sums, which stay in the
// 32 registers beside 4 of weights. What bounds them is one port: 96 vpdpbusd and 24 (with offsets
// 36) operations of Scale() for each group. A few rows go by 4 × all 64 outputs of the tile, so
// that its bytes, which come from memory, pass by in order and once or a few times (measured
// against 6 × 32: 8 rows 5 to 25 % faster, 16 rows 7 to 50 %; 512 rows of the default model 4 %
// slower).

#include <immintrin.h>

#include "kernels/product.h"

namespace reprise::avx512 {
namespace {

#include "kernels/product_exact_kernel.h"

constexpr int kVectors = kTileOutputs / 16;  // registers across a tile
constexpr int kRowBlock = 6;
constexpr int kBlockVectors = 2;

template <int kRows>
struct Rows {};

// block(Rows<n>(), row) for the last n ≤ kRows rows of a tile.
template <int kRows, typename Block>
void ForRest(int rows, int row, Block block) {
  if constexpr (kRows > 0) {
    if (rows - row == kRows) return block(Rows<kRows>(), row);
    ForRest<kRows - 1>(rows, row, block);
  }
}

// block(Rows<n>(), row) for runs of n rows: kStep each, then what is left.
template <int kStep, typename Block>
void ForRowBlocks(int rows, Block block) {
  int row = 0;
  for (; row + kStep <= rows; row += kStep) block(Rows<kStep>(), row);
  ForRest<kStep - 1>(rows, row, block);
}

// Up to here rows are few (at 24, 2 to 9 % faster on 4-bit weights, 13 % on 8 bits, 22 % on 5 and 6
// bits of a 1B model). More are also worth unpacking for, where Format::kUnpacks.
constexpr int kFewRows = 24;
constexpr int kFewRowBlock = 4;

enum class Kind : uint8_t { kSymmetric, kOffset, kCodes };

template <int kBits_, int kGroup_, Kind kKind>
struct Format {
  static constexpr int kBits = kBits_;
  static constexpr int kGroup = kGroup_;
  static constexpr bool kOffset = kKind == Kind::kOffset;
  static constexpr bool kCodes = kKind == Kind::kCodes;
  static constexpr int kZero = kOffset ? 0 : kCodes ? 128 : 1 << (kBits - 1);
  static constexpr int kLowBits = kBits < 4 ? 2 : kBits < 8 ? 4 : 8;
  static constexpr int kPlaneBits = kBits - kLowBits;
  // Whether many rows are worth unpacking for.
  static constexpr bool kUnpacks = kLowBits == 2 || kPlaneBits > 0 || kCodes;
  static constexpr int kQuads = kGroup / 4;
  static constexpr int kValueBytes = kTileOutputs * kGroup * kBits / 8;
  static constexpr int kRecordBytes = kValueBytes + (kOffset ? 4 : 2) * kTileOutputs;
  // Unpacked: bytes, then d (and m) in f32.
  static constexpr int kUnpackedBytes = kTileOutputs * (kGroup + (kOffset ? 8 : 4));
  static constexpr int kRun = kUnpackInputs / kGroup;  // groups unpacked at a time
};

[[gnu::always_inline]] inline __m512i LoadBytes(const uint8_t* at) { return _mm512_load_si512(at); }

// q of each code, where what is packed are codes.
template <bool kCodes>
struct Codebook {
  explicit Codebook(const PackedFormat&) {}
  [[gnu::always_inline]] __m512i Look(__m512i q) const { return q; }
};
template <>
struct Codebook<true> {
  [[gnu::always_inline]] explicit Codebook(const PackedFormat& format)
      : in_every_lane(_mm512_broadcast_i32x4(
            _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(format.codebook)),
                          _mm_set1_epi8(static_cast<char>(0x80))))) {}
  [[gnu::always_inline]] __m512i Look(__m512i codes) const {
    return _mm512_shuffle_epi8(in_every_lane, codes);
  }
  __m512i in_every_lane;
};

// Reads the quads of kWidth vectors of outputs, from vector `first` on, of one record. Quads()
// gives quads 2j and 2j + 1 of outputs 16 (first + c) .. 16 (first + c) + 15, for j ascending.
template <typename F, int kWidth>
class QuadReader {
 public:
  [[gnu::always_inline]] QuadReader(const uint8_t* record, int first) : from_(record + 64 * first) {
    static_assert(kWidth == kVectors || !kHalfPlanes);
    if constexpr (F::kPlaneBits > 0) {
      const uint8_t* const planes = from_ + kTileOutputs * F::kGroup * F::kLowBits / 8;
      for (int c = 0; c < kWidth; ++c) {
        planes_[c] = LoadBytes(planes + 64 * (kHalfPlanes ? c % 2 : c));
        if (kHalfPlanes && c >= 2) planes_[c] = _mm512_srli_epi16(planes_[c], 4);
      }
    }
  }

  [[gnu::always_inline]] void Quads(int j, int c, const Codebook<F::kCodes>& codebook,
                                    __m512i& even, __m512i& odd) {
    if constexpr (F::kLowBits == 8) {
      even = LoadBytes(from_ + 64 * (2 * j * kVectors + c));
      odd = LoadBytes(from_ + 64 * ((2 * j + 1) * kVectors + c));
      return;
    }
    constexpr int kPairsOfByte = 4 / F::kLowBits;
    const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << F::kLowBits) - 1));
    __m512i packed = LoadBytes(from_ + 64 * (j / kPairsOfByte * kVectors + c));
    if (j % kPairsOfByte != 0) packed = _mm512_srli_epi16(packed, 4);
    even = _mm512_and_si512(packed, mask);
    odd = _mm512_and_si512(_mm512_srli_epi16(packed, F::kLowBits), mask);
    if constexpr (F::kPlaneBits > 0) {
      even = AddPlane(c, even);
      odd = AddPlane(c, odd);
    }
    even = codebook.Look(even);
    odd = codebook.Look(odd);
  }

 private:
  // A plane that takes half a byte: that of vector c + 2 lies above that of c.
  static constexpr bool kHalfPlanes = F::kPlaneBits * F::kGroup == 16;

  // Bits that a 16-bit shift carries over from the neighbouring byte are masked away.
  [[gnu::always_inline]] __m512i AddPlane(int c, __m512i low) {
    const __m512i mask =
        _mm512_set1_epi8(static_cast<char>(((1 << F::kPlaneBits) - 1) << F::kLowBits));
    const __m512i high = _mm512_slli_epi16(planes_[c], F::kLowBits);
    planes_[c] = _mm512_srli_epi16(planes_[c], F::kPlaneBits);
    return _mm512_ternarylogic_epi64(low, high, mask, 0xf8);  // low | (high & mask)
  }

  const uint8_t* from_;
  __m512i planes_[kWidth];
};

// Sixteen 32-bit sums. As __m512i, which has lanes of 64 bits, gcc 12 copies and spills
// accumulators around every vpdpbusd.
using Sums = int32_t __attribute__((vector_size(64)));

[[gnu::always_inline]] inline Sums AsSums(__m512i v) { return reinterpret_cast<Sums>(v); }
[[gnu::always_inline]] inline __m512i AsVector(Sums v) { return reinterpret_cast<__m512i>(v); }

[[gnu::always_inline]] inline void AddProducts(Sums& sums, __m512i w, __m512i x) {
  sums = AsSums(_mm512_dpbusd_epi32(AsVector(sums), w, x));
}

[[gnu::always_inline]] inline __m512 LoadHalves(const uint8_t* at) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(at)));
}

// What a block of rows needs of x: a pointer and a stride each. (Of a pointer for each row, gcc 12
// makes vectors.)
template <typename F>
class RowCursor {
 public:
  [[gnu::always_inline]] RowCursor(const QuantizedRows& x, int row, int64_t g)
      : q_(x.q + row * x.q_stride + g * F::kGroup),
        scale_(x.scale + row * x.group_stride),
        scaled_sum_(x.scaled_sum + row * x.group_stride),
        half_sums_(x.half_sums + 2 * row * x.group_stride),
        q_stride_(x.q_stride),
        group_stride_(x.group_stride) {}

  [[gnu::always_inline]] void NextGroup() { q_ += F::kGroup; }

  // Four bytes of row `r`, from byte `at` of the group on.
  [[gnu::always_inline]] __m512i Quad(int r, int at) const {
    int32_t quad;
    __builtin_memcpy(&quad, q_ + r * q_stride_ + at, sizeof(quad));
    return _mm512_set1_epi32(quad);
  }

  // The accumulator's start: -zero times the sum of the group's activations.
  [[gnu::always_inline]] __m512i Start(int r, int64_t g) const {
    if constexpr (F::kOffset) return _mm512_setzero_si512();
    const int32_t* const sums = half_sums_ + 2 * r * group_stride_;
    return _mm512_set1_epi32(-F::kZero *
                             (F::kGroup == 16 ? sums[g] : sums[2 * g] + sums[2 * g + 1]));
  }

  [[gnu::always_inline]] __m512 Scale(int r, int64_t g) const {
    return _mm512_set1_ps(scale_[r * group_stride_ + g * F::kGroup / kActivationGroup]);
  }
  [[gnu::always_inline]] __m512 ScaledSum(int r, int64_t g) const {
    if constexpr (F::kGroup == 16) {
      const int32_t sum = half_sums_[2 * r * group_stride_ + g];
      return _mm512_set1_ps(scale_[r * group_stride_ + g / 2] * static_cast<float>(sum));
    }
    return _mm512_set1_ps(scaled_sum_[r * group_stride_ + g * F::kGroup / kActivationGroup]);
  }

 private:
  const int8_t* q_;
  const float* scale_;
  const float* scaled_sum_;
  const int32_t* half_sums_;
  ptrdiff_t q_stride_;
  ptrdiff_t group_stride_;
};

// The formula's two steps after a group, the only place that rounds.
template <typename F>
[[gnu::always_inline]] inline __m512 Scale(const RowCursor<F>& x, int r, int64_t g,
                                           __m512i products, __m512 d, __m512 m, __m512 sum) {
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), _mm512_mul_ps(d, x.Scale(r, g)), sum);
  if constexpr (F::kOffset) sum = _mm512_fmadd_ps(m, x.ScaledSum(r, g), sum);
  return sum;
}

// -- Straight from the record ------------------------------------------------------------------

template <typename F, int kRows, int kWidth>
void DirectBlock(const TileCall& call, int row, int first) {
  const int64_t groups = call.columns / F::kGroup;
  RowCursor<F> x(*call.quantized, call.first_row + row, 0);
  __m512 sums[kRows][kWidth];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kWidth; ++c) sums[r][c] = _mm512_setzero_ps();
  }
  const Codebook<F::kCodes> codebook(*call.format);
  const uint8_t* record = call.tile;
  for (int64_t g = 0; g < groups; ++g, record += F::kRecordBytes) {
    Sums products[kRows][kWidth];
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kWidth; ++c) products[r][c] = AsSums(x.Start(r, g));
    }
    QuadReader<F, kWidth> quads(record, first);
#pragma GCC unroll 4
    for (int j = 0; j < F::kQuads / 2; ++j) {
      __m512i even[kWidth];
      __m512i odd[kWidth];
#pragma GCC unroll 4
      for (int c = 0; c < kWidth; ++c) quads.Quads(j, c, codebook, even[c], odd[c]);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const __m512i even_x = x.Quad(r, 8 * j);
        for (int c = 0; c < kWidth; ++c) AddProducts(products[r][c], even[c], even_x);
        const __m512i odd_x = x.Quad(r, 8 * j + 4);
        for (int c = 0; c < kWidth; ++c) AddProducts(products[r][c], odd[c], odd_x);
      }
    }
    const uint8_t* const factors = record + F::kValueBytes + 32 * first;
    for (int c = 0; c < kWidth; ++c) {
      const __m512 d = LoadHalves(factors + 32 * c);
      const __m512 m = F::kOffset ? LoadHalves(factors + 2 * kTileOutputs + 32 * c) : d;
      for (int r = 0; r < kRows; ++r)
        sums[r][c] = Scale(x, r, g, AsVector(products[r][c]), d, m, sums[r][c]);
    }
    x.NextGroup();
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kWidth; ++c) {
      _mm512_storeu_ps(call.y + (row + r) * call.y_stride + 16 * (first + c), sums[r][c]);
    }
  }
}

// -- From unpacked runs -------------------------------------------------------------------------

struct Run {
  int64_t first_group;
  int groups;
};

template <typename F>
void UnpackRun(const TileCall& call, const uint8_t* record, int groups) {
  const Codebook<F::kCodes> codebook(*call.format);
  uint8_t* out = call.scratch;
  for (int g = 0; g < groups; ++g, record += F::kRecordBytes, out += F::kUnpackedBytes) {
    QuadReader<F, kVectors> quads(record, 0);
    for (int j = 0; j < F::kQuads / 2; ++j) {
      for (int c = 0; c < kVectors; ++c) {
        __m512i even;
        __m512i odd;
        quads.Quads(j, c, codebook, even, odd);
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
void UnpackedBlock(const TileCall& call, int row, int first, const Run& run) {
  RowCursor<F> x(*call.quantized, call.first_row + row, run.first_group);
  float* const y = call.y + row * call.y_stride + 16 * first;
  __m512 sums[kRows][kBlockVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kBlockVectors; ++c) {
      sums[r][c] = run.first_group == 0 ? _mm512_setzero_ps()
                                        : _mm512_loadu_ps(y + r * call.y_stride + 16 * c);
    }
  }
  const uint8_t* unpacked = call.scratch + 64 * first;
  for (int64_t g = run.first_group; g < run.first_group + run.groups;
       ++g, unpacked += F::kUnpackedBytes) {
    Sums products[kRows][kBlockVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kBlockVectors; ++c) products[r][c] = AsSums(x.Start(r, g));
    }
#pragma GCC unroll 8
    for (int quad = 0; quad < F::kQuads; ++quad) {
      __m512i w[kBlockVectors];
      for (int c = 0; c < kBlockVectors; ++c)
        w[c] = LoadBytes(unpacked + 64 * (quad * kVectors + c));
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const __m512i quad_x = x.Quad(r, 4 * quad);
        for (int c = 0; c < kBlockVectors; ++c) AddProducts(products[r][c], w[c], quad_x);
      }
    }
    const auto* const factors =
        reinterpret_cast<const float*>(unpacked - 64 * first + kTileOutputs * F::kGroup) +
        16 * first;
    for (int c = 0; c < kBlockVectors; ++c) {
      const __m512 d = _mm512_load_ps(factors + 16 * c);
      const __m512 m = F::kOffset ? _mm512_load_ps(factors + kTileOutputs + 16 * c) : d;
      for (int r = 0; r < kRows; ++r) {
        sums[r][c] = Scale(x, r, g, AsVector(products[r][c]), d, m, sums[r][c]);
      }
    }
    x.NextGroup();
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kBlockVectors; ++c) {
      _mm512_storeu_ps(y + r * call.y_stride + 16 * c, sums[r][c]);
    }
  }
}

template <typename F>
void UnpackedTile(const TileCall& call) {
  static_assert(F::kRun * F::kUnpackedBytes <= kTileScratchBytes);
  const int64_t groups = call.columns / F::kGroup;
  for (int64_t g = 0; g < groups; g += F::kRun) {
    const Run run = {g, static_cast<int>(groups - g < F::kRun ? groups - g : F::kRun)};
    UnpackRun<F>(call, call.tile + g * F::kRecordBytes, run.groups);
    ForRowBlocks<kRowBlock>(call.rows, [&]<int kRows>(Rows<kRows>, int row) {
      for (int first = 0; first < kVectors; first += kBlockVectors) {
        UnpackedBlock<F, kRows>(call, row, first, run);
      }
    });
  }
}

template <typename F>
void FormatTile(const TileCall& call) {
  if (call.rows <= kFewRows) {
    return ForRowBlocks<kFewRowBlock>(call.rows, [&]<int kRows>(Rows<kRows>, int row) {
      DirectBlock<F, kRows, kVectors>(call, row, 0);
    });
  }
  if constexpr (F::kUnpacks) {
    UnpackedTile<F>(call);
  } else {
    ForRowBlocks<kRowBlock>(call.rows, [&]<int kRows>(Rows<kRows>, int row) {
      for (int first = 0; first < kVectors; first += kBlockVectors) {
        DirectBlock<F, kRows, kBlockVectors>(call, row, first);
      }
    });
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

// All pairs of inputs in one go: runs of a tile that fit L1 cost 5 to 12 %, as each run loads and
// stores the sums in y.
template <int kRows>
void Bf16Block(const TileCall& call, int row) {
  const uint16_t* x[kRows];
  for (int r = 0; r < kRows; ++r) {
    x[r] = call.bf16->x + (call.first_row + row + r) * call.bf16->stride;
  }
  __m512 sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors; ++c) sums[r][c] = _mm512_setzero_ps();
  }
  const uint8_t* tile = call.tile;
  const int64_t pairs = (call.columns + 1) / 2;
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
      _mm512_storeu_ps(call.y + (row + r) * call.y_stride + 16 * c, sums[r][c]);
    }
  }
}

void Bf16Tile(const TileCall& call) {
  ForRowBlocks<kRowBlock>(call.rows,
                          [&]<int kRows>(Rows<kRows>, int row) { Bf16Block<kRows>(call, row); });
}

}  // namespace

const ProductKernels kProduct = {.quantize_row = QuantizeRow,
                                 .round_row = RoundRow,
                                 .quantized_tile = QuantizedTile,
                                 .bf16_tile = Bf16Tile,
                                 .exact_rows = ExactRows};

}  // namespace reprise::avx512

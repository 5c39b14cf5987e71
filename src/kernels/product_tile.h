#pragma once

// One tile of a matrix times rows (ProductKernels::quantized_tile and bf16_tile): the loops, once
// for all instruction sets, over a vector type V (product_vector_avx2.h says what it has), whose
// unnamed namespace keeps each instruction set's code its own.
//
// A block is kRows rows × kWidth vectors of outputs, over all groups or a run of them. Its integers
// and its scaled sums stay in registers, as far as there are registers. Whatever block a row falls
// into, the same operations round in the same order, so its bits are the same.

#include "kernels/product_reader.h"

namespace reprise {

template <int kRows>
struct RowCount {};

// block(RowCount<n>(), row) for the last n ≤ kRows rows of a tile.
template <int kRows, typename Block>
[[gnu::always_inline]] inline void ForRest(int rows, int row, Block block) {
  if constexpr (kRows > 0) {
    if (rows - row == kRows) return block(RowCount<kRows>(), row);
    ForRest<kRows - 1>(rows, row, block);
  }
}

// block(RowCount<n>(), row) for runs of n rows: kStep each, then what is left.
template <int kStep, typename Block>
[[gnu::always_inline]] inline void ForRowBlocks(int rows, Block block) {
  int row = 0;
  for (; row + kStep <= rows; row += kStep) block(RowCount<kStep>(), row);
  ForRest<kStep - 1>(rows, row, block);
}

// What a block of rows needs of x: a pointer and a stride each. (Of a pointer for each row, gcc 12
// makes vectors.)
template <typename V, typename F>
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

  // Four bytes of row `r`, those of quad `quad` of the group, for each output.
  [[gnu::always_inline]] typename V::Bytes Quad(int r, int quad) const {
    int32_t four;
    __builtin_memcpy(&four, q_ + r * q_stride_ + 4 * quad, sizeof(four));
    return V::EachInt(four);
  }

  // What a group's sum of products starts from: -zero times the sum of its activations.
  [[gnu::always_inline]] int32_t Start(int r, int64_t g) const {
    if constexpr (F::kOffset || kReadsSigned<V, F>) return 0;
    const int32_t* const sums = half_sums_ + 2 * r * group_stride_;
    return -F::kZero * (F::kGroup == 16 ? sums[g] : sums[2 * g] + sums[2 * g + 1]);
  }

  [[gnu::always_inline]] typename V::Floats Scale(int r, int64_t g) const {
    return V::EachFloat(scale_[r * group_stride_ + g * F::kGroup / kActivationGroup]);
  }
  [[gnu::always_inline]] typename V::Floats ScaledSum(int r, int64_t g) const {
    if constexpr (F::kGroup == 16) {
      const int32_t sum = half_sums_[2 * r * group_stride_ + g];
      return V::EachFloat(scale_[r * group_stride_ + g / 2] * static_cast<float>(sum));
    }
    return V::EachFloat(scaled_sum_[r * group_stride_ + g * F::kGroup / kActivationGroup]);
  }

 private:
  const int8_t* q_;
  const float* scale_;
  const float* scaled_sum_;
  const int32_t* half_sums_;
  ptrdiff_t q_stride_;
  ptrdiff_t group_stride_;
};

// Adds a run of groups to the sums in y (the first run starts them).
template <typename V, typename Reader, int kRows>
void MultiplyBlock(const TileCall& call, int row, int first, const GroupRun& run) {
  using F = typename Reader::F;
  constexpr int kWidth = Reader::kWidth;
  RowCursor<V, F> x(*call.quantized, call.first_row + row, run.first);
  Reader reader(call, run, first);
  float* const y = call.y + row * call.y_stride + V::kLanes * first;
  typename V::Floats sums[kRows][kWidth];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kWidth; ++c) {
      sums[r][c] =
          run.first == 0 ? V::EachFloat(0) : V::LoadFloats(y + r * call.y_stride + V::kLanes * c);
    }
  }
  for (int64_t g = run.first; g < run.first + run.groups; ++g) {
    typename V::template Products<F> products[kRows][kWidth];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const int32_t start = x.Start(r, g);
#pragma GCC unroll 8
      for (int c = 0; c < kWidth; ++c) products[r][c].Begin(start);
    }
#pragma GCC unroll 8
    for (int quad = 0; quad < F::kQuads; ++quad) {
      typename V::Bytes w[kWidth];
#pragma GCC unroll 8
      for (int c = 0; c < kWidth; ++c) w[c] = reader.Quad(quad, c);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const typename V::Bytes quad_x = x.Quad(r, quad);
#pragma GCC unroll 8
        for (int c = 0; c < kWidth; ++c) products[r][c].Add(quad, w[c], quad_x);
      }
    }
    // The formula's two steps after a group, the only place that rounds.
#pragma GCC unroll 8
    for (int c = 0; c < kWidth; ++c) {
      const typename V::Floats d = reader.D(c);
      const typename V::Floats m = F::kOffset ? reader.M(c) : d;
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const typename V::Floats scale = V::Multiply(d, x.Scale(r, g));
        sums[r][c] = V::Fma(products[r][c].Sum(), scale, sums[r][c]);
        if constexpr (F::kOffset) sums[r][c] = V::Fma(m, x.ScaledSum(r, g), sums[r][c]);
      }
    }
    x.NextGroup();
    reader.Next();
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kWidth; ++c) {
      V::StoreFloats(y + r * call.y_stride + V::kLanes * c, sums[r][c]);
    }
  }
}

// All of call's rows over a run of groups, in Blocks::kRows × Blocks::Width(rows).
template <typename V, typename F, template <typename, typename, int> typename Reader,
          typename Blocks>
void MultiplyRun(const TileCall& call, const GroupRun& run) {
  ForRowBlocks<Blocks::kRows>(call.rows, [&]<int kRows>(RowCount<kRows>, int row) {
    constexpr int kWidth = Blocks::Width(kRows);
    for (int first = 0; first < kTileVectors<V>; first += kWidth) {
      MultiplyBlock<V, Reader<V, F, kWidth>, kRows>(call, row, first, run);
    }
  });
}

// Not inlined: all formats in one function cost a row of Q4_K about 5 %.
template <typename V, typename F>
[[gnu::noinline]] void FormatTile(const TileCall& call) {
  using Few = typename V::template FewRows<F>;
  using Many = typename V::template ManyRows<F>;
  const GroupRun all = {0, call.columns / F::kGroup};
  if (call.rows <= Few::kLimit) return MultiplyRun<V, F, RecordReader, Few>(call, all);
  if constexpr (Many::kUnpacks) {
    for (int64_t g = 0; g < all.groups; g += F::kRun) {
      const GroupRun run = {g, all.groups - g < F::kRun ? all.groups - g : F::kRun};
      UnpackRun<V, F>(call, run);
      MultiplyRun<V, F, UnpackedReader, Many>(call, run);
    }
  } else {
    MultiplyRun<V, F, RecordReader, Many>(call, all);
  }
}

template <typename V>
void QuantizedTile(const TileCall& call) {
  WithFormat(*call.format, [&]<typename F>(F) { FormatTile<V, F>(call); });
}

// All pairs of inputs in one go: runs of a tile that fit L1 cost 5 to 12 %, as each run loads and
// stores the sums in y.
template <typename V, int kRows>
void Bf16Block(const TileCall& call, int row, int first) {
  constexpr int kWidth = V::kBf16Width;
  const ptrdiff_t stride = call.bf16->stride;
  const uint16_t* x = call.bf16->x + (call.first_row + row) * stride;
  typename V::Floats sums[kRows][kWidth];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kWidth; ++c) sums[r][c] = V::EachFloat(0);
  }
  const uint8_t* tile = call.tile + 4 * V::kLanes * first;
  const int64_t pairs = (call.columns + 1) / 2;
  for (int64_t pair = 0; pair < pairs; ++pair, tile += 4 * kTileOutputs, x += 2) {
    typename V::Bf16Pairs w[kWidth];
    for (int c = 0; c < kWidth; ++c) w[c] = V::ReadBf16(V::Load(tile + 4 * V::kLanes * c));
    for (int r = 0; r < kRows; ++r) {
      int32_t two;
      __builtin_memcpy(&two, x + r * stride, sizeof(two));
      const typename V::Bf16Pairs pair_x = V::ReadBf16(V::EachInt(two));
      for (int c = 0; c < kWidth; ++c) sums[r][c] = V::AddBf16(sums[r][c], w[c], pair_x);
    }
  }
  float* const y = call.y + row * call.y_stride + V::kLanes * first;
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kWidth; ++c) {
      V::StoreFloats(y + r * call.y_stride + V::kLanes * c, sums[r][c]);
    }
  }
}

template <typename V>
void Bf16Tile(const TileCall& call) {
  ForRowBlocks<V::kBf16Rows>(call.rows, [&]<int kRows>(RowCount<kRows>, int row) {
    for (int first = 0; first < kTileVectors<V>; first += V::kBf16Width) {
      Bf16Block<V, kRows>(call, row, first);
    }
  });
}

}  // namespace reprise

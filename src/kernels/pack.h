#pragma once

// The packed layout of a weight matrix. Outputs are padded to tiles of 64; a tile is a run of
// records of 64-byte aligned bytes, one per group of inputs, in ascending order. A record is
//
//   pairs     2, 3 bits:    for each run of 4 quads of inputs, for each c in 0..3, 64 bytes
//   nibbles   4, 5, 6 bits: for each pair j of quads of inputs, for each c in 0..3, 64 bytes
//   planes    3, 5, 6 bits: for each c in 0..3, 64 bytes: the bits above 2 or 4
//             3 bits, group of 16: for each c in 0..1
//   bytes     8 bits:       for each quad k, for each c in 0..3, 64 bytes
//   d         64 × f16      then, for formats with an offset,
//   m         64 × f16
//
// where 64 bytes are outputs 16c .. 16c+15 × 4 consecutive inputs (byte 4·output + input): what one
// vpdpbusd takes. A byte of pairs holds quad k of its run at position 2k; a nibble byte quad 2j low
// and quad 2j+1 high; a plane byte one bit of each quad at position quad (3 and 5 bits), or two at
// 2·quad (6 bits, group of 16). A group of 16 has 4 quads, so with one bit the planes of c + 2 lie
// in the upper halves of those of c. What is packed of types with a codebook are codes.
//
// What types become, and the bits of a weight in file and memory:
//
//   bits  group                   types
//   2     16, offset   4          Q2_K 2.63
//   3     16           4          Q3_K 3.44
//   3     16, codes    4          IQ1_M 1.75, IQ2_XS 2.31, IQ2_S 2.56
//   3     32, codes    3.5        IQ1_S 1.56, IQ2_XXS 2.06
//   4     32           4.5        Q4_0 4.5
//   4     32, codes    4.5        IQ3_XXS 3.06, IQ3_S 3.44, IQ4_XS 4.25, IQ4_NL 4.5, MXFP4 4.25
//   4     32, offset   5          Q4_1 5, Q4_K 4.5
//   5     32           5.5        Q5_0 5.5
//   5     32, offset   6          Q5_1 6, Q5_K 5.5
//   6     16           7          Q6_K 6.56
//   8     32           8.5        Q8_0 8.5, Q8_K 9.13
//   16                 16         F16, BF16 16, F32 32: rounded to bf16
//
// All integers and codes are exact. Factors that are products in the file (d·scale, dmin·minimum of
// the types with super-blocks) are rounded to f16. Those of MXFP4 and Q8_K may have any exponent
// of f32: they are stored in units of the largest's power of two, so MXFP4's are exact down to
// 2^-24 of the largest, and 0 below. Types with super-blocks whose d·scale exceeds f16's largest
// number, 65504, get infinite weights, as those have that are infinite in the file.
//
// 16-bit formats: a record is a pair of inputs, for each c 64 bytes = 16 outputs × 2 bf16.
//
// Immutable; any thread.

#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/operations.h"
#include "kernels/product.h"
#include "kernels/thread_pool.h"
#include "kernels/weight_memory.h"

namespace reprise {

// 64-byte aligned memory; on failure to allocate the process ends (as with new).
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t bytes = 0);
  uint8_t* data() const { return data_.get(); }
  size_t size() const { return size_; }
  // At least `bytes`; where it has to grow, what was in it is gone.
  void Grow(size_t bytes);

 private:
  struct Free {
    void operator()(uint8_t* data) const { std::free(data); }
  };
  std::unique_ptr<uint8_t, Free> data_;
  size_t size_ = 0;
};

class PackedMatrix final : public Matrix {
 public:
  // REQUIRES: the shape was checked (product_driver.cc).
  PackedMatrix(const WeightView& weight, WeightMemory& memory, ThreadPool& pool);

  int64_t rows() const override { return rows_; }
  int64_t columns() const override { return columns_; }
  size_t bytes() const override { return static_cast<size_t>(tiles()) * tile_bytes_; }
  void DequantizeRow(int64_t row, float* out) const override;

  const PackedFormat& format() const { return format_; }
  int64_t tiles() const { return (rows_ + kTileOutputs - 1) / kTileOutputs; }
  const uint8_t* tile(int64_t index) const {
    return data_.get() + static_cast<size_t>(index) * tile_bytes_;
  }

 private:
  void PackQuantizedTile(const WeightView& weight, int64_t tile);
  void PackBf16Tile(const WeightView& weight, int64_t tile);

  int64_t rows_;
  int64_t columns_;
  PackedFormat format_;
  size_t tile_bytes_;
  std::shared_ptr<uint8_t> data_;
};

// A matrix that Pack made for Compute::kFast.
inline const PackedMatrix& Packed(const Matrix& matrix) {
  return static_cast<const PackedMatrix&>(matrix);
}

// Compute::kExact keeps the file's own blocks.
class ExactMatrix final : public Matrix {
 public:
  explicit ExactMatrix(const WeightView& weight);

  int64_t rows() const override { return rows_; }
  int64_t columns() const override { return columns_; }
  size_t bytes() const override { return data_.size(); }
  void DequantizeRow(int64_t row, float* out) const override;

 private:
  WeightType type_;
  int64_t rows_;
  int64_t columns_;
  size_t row_bytes_;
  std::vector<std::byte> data_;
};

// The integer q of output `output` (0..63) and input `input` (within the group) of a record; of a
// format with a codebook, codebook[code] + zero.
int PackedInteger(const PackedFormat& format, const uint8_t* record, int output, int input);

}  // namespace reprise

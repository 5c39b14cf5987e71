#include "kernels/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/round_up.h"
#include "kernels/bf16.h"
#include "kernels/pack_groups.h"
#include "kernels/pack_half.h"

namespace reprise {
namespace {

size_t ValueBytes(int bits, int group) {
  return static_cast<size_t>(kTileOutputs) * static_cast<size_t>(group) *
         static_cast<size_t>(bits) / 8;
}

PackedFormat PackedFormatOf(WeightType type) {
  const GroupFormat groups = GroupFormatOf(type);
  if (groups.bits == 0) {
    return {.bits = 16,
            .group = 2,
            .zero = 0,
            .offset = false,
            .codebook = nullptr,
            .record_bytes = ValueBytes(16, 2),
            .unit = 1.0F};
  }
  const size_t factors = (groups.offset ? 2 : 1) * kTileOutputs * sizeof(uint16_t);
  return {.bits = groups.bits,
          .group = groups.group,
          .zero = groups.codebook == nullptr ? groups.zero : 128,
          .offset = groups.offset,
          .codebook = groups.codebook,
          .record_bytes = ValueBytes(groups.bits, groups.group) + factors,
          .unit = 1.0F};
}

// Where the bits of one weight lie in a record: `byte` + what `shift` says.
struct Place {
  size_t byte;
  int shift;
};

// 16 outputs × 4 inputs of the quad: byte within 64.
size_t ByteInVector(int output, int input) {
  return static_cast<size_t>(4 * (output % 16) + input % 4);
}

// Bits that lie apart from the planes: pairs, nibbles or bytes.
int LowBits(const PackedFormat& format) { return format.bits < 4 ? 2 : format.bits < 8 ? 4 : 8; }

Place LowPlace(const PackedFormat& format, int output, int input) {
  const int bits = LowBits(format);
  const int quad = input / 4;
  const int quads = 8 / bits;  // in a byte
  const int vector = quad / quads * 4 + output / 16;
  return {static_cast<size_t>(vector) * 64 + ByteInVector(output, input), bits * (quad % quads)};
}

Place PlanePlace(const PackedFormat& format, int output, int input) {
  const size_t planes = ValueBytes(LowBits(format), format.group);
  const int bits = format.bits - LowBits(format);
  const int quad = input / 4;
  const int c = output / 16;
  if (bits * format.group == 16) {  // half a byte: c + 2 lies above c
    return {planes + static_cast<size_t>(c % 2) * 64 + ByteInVector(output, input),
            4 * (c / 2) + quad};
  }
  return {planes + static_cast<size_t>(c) * 64 + ByteInVector(output, input), bits * quad};
}

// Adds a group's integers of one output to a record that is zero there.
void StoreIntegers(const PackedFormat& format, uint8_t* record, int output, const uint8_t* q) {
  const int low_bits = LowBits(format);
  const int mask = (1 << low_bits) - 1;
  for (int input = 0; input < format.group; input += 4, q += 4) {
    const Place low = LowPlace(format, output, input);
    uint8_t* const at = record + low.byte;
    for (int i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(at[i] | ((q[i] & mask) << low.shift));
    if (format.bits == low_bits) continue;
    const Place high = PlanePlace(format, output, input);
    uint8_t* const plane = record + high.byte;
    for (int i = 0; i < 4; ++i) {
      plane[i] = static_cast<uint8_t>(plane[i] | ((q[i] >> low_bits) << high.shift));
    }
  }
}

// The power of two below the largest factor, for types whose factors f16 may not hold.
float UnitOf(const WeightView& weight, ThreadPool& pool) {
  const GroupFormat format = GroupFormatOf(weight.type);
  if (!format.wide_factors) return 1.0F;
  const int64_t groups = weight.columns / format.group;  // of a row
  std::vector<float> of_thread(static_cast<size_t>(pool.threads()), 0.0F);
  pool.Run(weight.rows, [&](int64_t row, int thread) {
    float& most = of_thread[static_cast<size_t>(thread)];
    for (int64_t g = row * groups; g < (row + 1) * groups; ++g) {
      WeightGroup group;
      ReadGroup(weight.type, weight.data, g, group);
      if (std::isfinite(group.d)) most = std::max(most, std::fabs(group.d));
    }
  });
  const float largest = *std::max_element(of_thread.begin(), of_thread.end());
  return largest == 0.0F ? 1.0F : std::ldexp(1.0F, std::max(std::ilogb(largest), -126));
}

void StoreHalf(uint8_t* at, int index, float value) {
  const uint16_t half = FloatToHalf(value);
  std::memcpy(at + 2 * index, &half, sizeof(half));
}

uint16_t Load16(const uint8_t* at, size_t index) {
  uint16_t bits;
  std::memcpy(&bits, at + 2 * index, sizeof(bits));
  return bits;
}

size_t RowBytes(const WeightView& weight) {
  const WeightBlock block = WeightBlockOf(static_cast<uint32_t>(weight.type)).value();
  return static_cast<size_t>(weight.columns / block.elements) * static_cast<size_t>(block.bytes);
}

// Byte offset of element [input, output] within a tile of bf16.
size_t Bf16Offset(int64_t input, int output) {
  return static_cast<size_t>(input / 2) * ValueBytes(16, 2) +
         static_cast<size_t>(4 * output + 2 * (input % 2));
}

}  // namespace

size_t PackedBytes(WeightType type, int64_t rows, int64_t columns) {
  const PackedFormat format = PackedFormatOf(type);
  const auto up = [](int64_t count, int64_t of) {
    return static_cast<size_t>((count + of - 1) / of);
  };
  return up(rows, kTileOutputs) * up(columns, format.group) * format.record_bytes;
}

AlignedBytes::AlignedBytes(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* data = std::aligned_alloc(64, RoundUp(bytes, 64));
  if (data == nullptr) throw std::bad_alloc();
  data_.reset(static_cast<uint8_t*>(data));
}

void AlignedBytes::Grow(size_t bytes) {
  if (size_ < bytes) *this = AlignedBytes(bytes);
}

int PackedInteger(const PackedFormat& format, const uint8_t* record, int output, int input) {
  const int low_bits = LowBits(format);
  const Place low = LowPlace(format, output, input);
  int q = (record[low.byte] >> low.shift) & ((1 << low_bits) - 1);
  if (format.bits != low_bits) {
    const Place plane = PlanePlace(format, output, input);
    const int mask = (1 << (format.bits - low_bits)) - 1;
    q |= ((record[plane.byte] >> plane.shift) & mask) << low_bits;
  }
  return format.codebook == nullptr ? q : format.codebook[q] + format.zero;
}

PackedMatrix::PackedMatrix(const WeightView& weight, WeightMemory& memory, ThreadPool& pool)
    : rows_(weight.rows),
      columns_(weight.columns),
      format_(PackedFormatOf(weight.type)),
      tile_bytes_(static_cast<size_t>((columns_ + format_.group - 1) / format_.group) *
                  format_.record_bytes),
      data_(memory.Take(bytes())) {
  format_.unit = UnitOf(weight, pool);
  pool.Run(tiles(), [&](int64_t tile, int) {
    if (format_.bits == 16) {
      PackBf16Tile(weight, tile);
    } else {
      PackQuantizedTile(weight, tile);
    }
  });
}

void PackedMatrix::PackQuantizedTile(const WeightView& weight, int64_t tile) {
  uint8_t* const start = data_.get() + static_cast<size_t>(tile) * tile_bytes_;
  std::memset(start, 0, tile_bytes_);  // padding outputs: q, d and m are 0
  const size_t row_bytes = RowBytes(weight);
  const size_t d_offset = ValueBytes(format_.bits, format_.group);
  const int64_t first = tile * kTileOutputs;
  const int outputs = static_cast<int>(std::min<int64_t>(kTileOutputs, rows_ - first));
  WeightGroup group;
  for (int output = 0; output < outputs; ++output) {
    const std::byte* row = weight.data + static_cast<size_t>(first + output) * row_bytes;
    uint8_t* record = start;
    for (int64_t g = 0; g < columns_ / format_.group; ++g, record += format_.record_bytes) {
      ReadGroup(weight.type, row, g, group);
      StoreIntegers(format_, record, output, group.q);
      StoreHalf(record + d_offset, output, group.d / format_.unit);
      if (format_.offset) StoreHalf(record + d_offset, kTileOutputs + output, group.m);
    }
  }
}

void PackedMatrix::PackBf16Tile(const WeightView& weight, int64_t tile) {
  uint8_t* const start = data_.get() + static_cast<size_t>(tile) * tile_bytes_;
  std::memset(start, 0, tile_bytes_);
  const size_t row_bytes = RowBytes(weight);
  const int64_t first = tile * kTileOutputs;
  const int outputs = static_cast<int>(std::min<int64_t>(kTileOutputs, rows_ - first));
  std::vector<float> row(static_cast<size_t>(columns_));
  for (int output = 0; output < outputs; ++output) {
    Dequantize(weight.type, weight.data + static_cast<size_t>(first + output) * row_bytes,
               row.size(), row.data());
    for (int64_t k = 0; k < columns_; ++k) {
      const uint16_t bits = ToBf16(row[static_cast<size_t>(k)]);
      std::memcpy(start + Bf16Offset(k, output), &bits, sizeof(bits));
    }
  }
}

void PackedMatrix::DequantizeRow(int64_t row, float* out) const {
  CHECK(row >= 0 && row < rows_, "a row of the matrix");
  const uint8_t* const start = tile(row / kTileOutputs);
  const int output = static_cast<int>(row % kTileOutputs);
  if (format_.bits == 16) {
    for (int64_t k = 0; k < columns_; ++k) {
      out[k] = FromBf16(Load16(start + Bf16Offset(k, output), 0));
    }
    return;
  }
  const size_t d_offset = ValueBytes(format_.bits, format_.group);
  for (int64_t k = 0; k < columns_; ++k) {
    const int64_t g = k / format_.group;
    const uint8_t* record = start + static_cast<size_t>(g) * format_.record_bytes;
    const int q = PackedInteger(format_, record, output, static_cast<int>(k % format_.group));
    const auto n = static_cast<size_t>(output);
    const float d = HalfToFloat(Load16(record + d_offset, n));
    const float m =
        format_.offset ? HalfToFloat(Load16(record + d_offset, kTileOutputs + n)) : 0.0F;
    out[k] = (d * static_cast<float>(q - format_.zero) + m) * format_.unit;
  }
}

ExactMatrix::ExactMatrix(const WeightView& weight)
    : type_(weight.type),
      rows_(weight.rows),
      columns_(weight.columns),
      row_bytes_(RowBytes(weight)),
      data_(weight.data, weight.data + static_cast<size_t>(weight.rows) * row_bytes_) {}

void ExactMatrix::DequantizeRow(int64_t row, float* out) const {
  CHECK(row >= 0 && row < rows_, "a row of the matrix");
  Dequantize(type_, data_.data() + static_cast<size_t>(row) * row_bytes_,
             static_cast<size_t>(columns_), out);
}

}  // namespace reprise

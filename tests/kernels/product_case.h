#pragma once

// Random matrices in GGUF's storage formats and random activations, for the tests of products.

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/operations.h"
#include "kernels/pack_half.h"

namespace reprise {

inline constexpr WeightType kQuantizedTypes[] = {
    WeightType::kQ4_0,    WeightType::kQ4_1,    WeightType::kQ5_0,   WeightType::kQ5_1,
    WeightType::kQ8_0,    WeightType::kQ2_K,    WeightType::kQ3_K,   WeightType::kQ4_K,
    WeightType::kQ5_K,    WeightType::kQ6_K,    WeightType::kQ8_K,   WeightType::kIQ1_S,
    WeightType::kIQ1_M,   WeightType::kIQ2_XXS, WeightType::kIQ2_XS, WeightType::kIQ2_S,
    WeightType::kIQ3_XXS, WeightType::kIQ3_S,   WeightType::kIQ4_NL, WeightType::kIQ4_XS,
    WeightType::kMXFP4};
inline constexpr WeightType kWideTypes[] = {WeightType::kF32, WeightType::kF16, WeightType::kBf16};

inline bool HasSuperBlocks(WeightType type) {
  return WeightBlockOf(static_cast<uint32_t>(type))->elements == 256;
}

// A storage block's factors: bytes `at` .. at + bytes - 1 of it. f16 but for Q8_K (f32), MXFP4
// (E8M0) and IQ1_M (f16 in the upper nibbles of four 16-bit words).
struct Factor {
  size_t at;
  size_t bytes;
};
inline std::vector<Factor> FactorsOf(WeightType type) {
  switch (type) {
    case WeightType::kQ4_1:
    case WeightType::kQ5_1:
    case WeightType::kQ4_K:
    case WeightType::kQ5_K:
      return {{0, 2}, {2, 2}};
    case WeightType::kQ2_K:
      return {{80, 2}, {82, 2}};
    case WeightType::kQ3_K:
      return {{108, 2}};
    case WeightType::kQ6_K:
      return {{208, 2}};
    case WeightType::kQ8_K:
      return {{0, 4}};
    case WeightType::kMXFP4:
      return {{0, 1}};
    case WeightType::kIQ1_M:
      return {{48, 8}};
    default:
      return {{0, 2}};
  }
}

// Writes `value`, or what of it the type's factor can hold, into the factor's bytes at `at`.
inline void PutFactor(WeightType type, float value, std::byte* at) {
  const uint16_t half = FloatToHalf(value);
  if (type == WeightType::kQ8_K) {
    std::memcpy(at, &value, sizeof(value));
  } else if (type == WeightType::kMXFP4) {
    *at = static_cast<std::byte>(std::ilogb(value) + 127);
  } else if (type == WeightType::kIQ1_M) {
    for (int i = 0; i < 4; ++i) {
      std::byte& high = at[2 * i + 1];
      high = (high & std::byte{15}) | static_cast<std::byte>(((half >> (4 * i)) & 15) << 4);
    }
  } else {
    std::memcpy(at, &half, sizeof(half));
  }
}

struct WeightCase {
  std::vector<std::byte> data;
  WeightView view;
};

// Factors are of a size that makes weights about 0.1; every other bit is random.
inline WeightCase RandomWeights(WeightType type, int64_t rows, int64_t columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.1F);
  const WeightBlock block = WeightBlockOf(static_cast<uint32_t>(type)).value();
  const auto blocks = static_cast<size_t>(rows * columns / block.elements);
  const auto bytes = static_cast<size_t>(block.bytes);
  WeightCase out;
  out.data.resize(blocks * bytes);
  const bool wide = block.elements == 1;
  for (size_t i = 0; i < blocks; ++i) {
    std::byte* const at = out.data.data() + i * bytes;
    if (wide) {
      const float value = normal(random);
      const uint16_t bits = type == WeightType::kF16 ? FloatToHalf(value) : ToBf16(value);
      if (type == WeightType::kF32) {
        std::memcpy(at, &value, sizeof(value));
      } else {
        std::memcpy(at, &bits, sizeof(bits));
      }
      continue;
    }
    for (size_t j = 0; j < bytes; ++j) at[j] = static_cast<std::byte>(random());
    for (const Factor& factor : FactorsOf(type)) {
      PutFactor(type, normal(random) * (HasSuperBlocks(type) ? 0.01F : 0.1F), at + factor.at);
    }
  }
  out.view = {type, out.data.data(), rows, columns};
  return out;
}

// Rows of different sizes, with an outlier here and there, as activations have.
inline std::vector<float> RandomRows(int rows, int64_t columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows) * static_cast<size_t>(columns));
  for (float& value : x) {
    value = normal(random);
    if (random() % 97 == 0) value *= 30.0F;
  }
  return x;
}

inline std::unique_ptr<Operations> Make(Isa isa, Compute compute, int threads) {
  return MakeOperations(isa, compute, threads).value();
}

// One matrix, one call.
inline std::vector<float> Multiply(Operations& operations, const Matrix& w, const float* x,
                                   int rows) {
  std::vector<float> y(static_cast<size_t>(rows) * static_cast<size_t>(w.rows()), -1.0F);
  const Matrix* const ws[] = {&w};
  float* const ys[] = {y.data()};
  operations.MatMul(x, rows, ws, ys);
  return y;
}

}  // namespace reprise

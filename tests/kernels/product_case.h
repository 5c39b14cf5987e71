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
    WeightType::kQ4_0, WeightType::kQ4_1, WeightType::kQ5_0, WeightType::kQ5_1,
    WeightType::kQ8_0, WeightType::kQ4_K, WeightType::kQ5_K, WeightType::kQ6_K};
inline constexpr WeightType kWideTypes[] = {WeightType::kF32, WeightType::kF16, WeightType::kBf16};

inline bool HasSuperBlocks(WeightType type) {
  return type == WeightType::kQ4_K || type == WeightType::kQ5_K || type == WeightType::kQ6_K;
}

// Where a storage block holds f16 factors.
inline std::vector<size_t> FactorOffsets(WeightType type) {
  switch (type) {
    case WeightType::kQ4_0:
    case WeightType::kQ5_0:
    case WeightType::kQ8_0:
      return {0};
    case WeightType::kQ6_K:
      return {208};
    default:
      return {0, 2};
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
    for (size_t offset : FactorOffsets(type)) {
      const uint16_t factor = FloatToHalf(normal(random) * (HasSuperBlocks(type) ? 0.01F : 0.1F));
      std::memcpy(at + offset, &factor, sizeof(factor));
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

inline std::vector<Isa> OfferedIsas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kPlain, Isa::kAvx2, Isa::kAvx512}) {
    if (ParseIsa(IsaName(isa))) isas.push_back(isa);
  }
  return isas;
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

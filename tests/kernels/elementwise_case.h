#pragma once

// Every instruction set's elementwise kernels, random floats and their bits, for the tests of
// elementwise operations.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/elementwise.h"
#include "pools.h"

namespace reprise {

inline constexpr float kEpsilon = 1e-5F;  // of norms

struct Variant {
  std::string name;
  const ElementwiseKernels& kernels;
};

inline std::vector<Variant> Variants() {
  std::vector<Variant> variants = {{"plain", plain::kElementwise}};
  if (CpuOffers(Isa::kAvx2)) variants.push_back({"avx2", avx2::kElementwise});
  if (CpuOffers(Isa::kAvx512)) variants.push_back({"avx512", avx512::kElementwise});
  return variants;
}

inline std::vector<float> RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

inline std::vector<uint32_t> Bits(const float* values, size_t count) {
  std::vector<uint32_t> bits(count);
  std::transform(values, values + count, bits.begin(),
                 [](float value) { return std::bit_cast<uint32_t>(value); });
  return bits;
}

}  // namespace reprise

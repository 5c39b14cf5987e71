// What there is to know of each storage type: its name, its block, what its groups look like.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "kernels/codebooks.h"
#include "kernels/operations.h"
#include "kernels/pack_groups.h"

namespace reprise {
namespace {

struct TypeFacts {
  WeightType type;
  std::string_view name;
  WeightBlock block;
  GroupFormat groups;
};

constexpr GroupFormat kNoGroups = {};

constexpr GroupFormat Symmetric(int bits, int group) {
  return {.bits = bits, .group = group, .zero = 1 << (bits - 1)};
}
constexpr GroupFormat WithOffset(int bits, int group) {
  return {.bits = bits, .group = group, .offset = true};
}
constexpr GroupFormat OfCodebook(int bits, int group, const int8_t (&codebook)[16]) {
  return {.bits = bits, .group = group, .codebook = codebook};
}
constexpr GroupFormat WithWideFactors(GroupFormat format) {
  format.wide_factors = true;
  return format;
}

using enum WeightType;
constexpr TypeFacts kTypes[] = {
    {kF32, "F32", {1, 4}, kNoGroups},
    {kF16, "F16", {1, 2}, kNoGroups},
    {kBf16, "BF16", {1, 2}, kNoGroups},
    {kQ4_0, "Q4_0", {32, 18}, Symmetric(4, 32)},
    {kQ4_1, "Q4_1", {32, 20}, WithOffset(4, 32)},
    {kQ5_0, "Q5_0", {32, 22}, Symmetric(5, 32)},
    {kQ5_1, "Q5_1", {32, 24}, WithOffset(5, 32)},
    {kQ8_0, "Q8_0", {32, 34}, Symmetric(8, 32)},
    {kQ2_K, "Q2_K", {256, 84}, WithOffset(2, 16)},
    {kQ3_K, "Q3_K", {256, 110}, Symmetric(3, 16)},
    {kQ4_K, "Q4_K", {256, 144}, WithOffset(4, 32)},
    {kQ5_K, "Q5_K", {256, 176}, WithOffset(5, 32)},
    {kQ6_K, "Q6_K", {256, 210}, Symmetric(6, 16)},
    {kQ8_K, "Q8_K", {256, 292}, WithWideFactors(Symmetric(8, 32))},
    {kIQ1_S, "IQ1_S", {256, 50}, OfCodebook(3, 32, codebooks::kOneBit)},
    {kIQ1_M, "IQ1_M", {256, 56}, OfCodebook(3, 16, codebooks::kOneBit)},
    {kIQ2_XXS, "IQ2_XXS", {256, 66}, OfCodebook(3, 32, codebooks::kTwoBit)},
    {kIQ2_XS, "IQ2_XS", {256, 74}, OfCodebook(3, 16, codebooks::kTwoBit)},
    {kIQ2_S, "IQ2_S", {256, 82}, OfCodebook(3, 16, codebooks::kTwoBit)},
    {kIQ3_XXS, "IQ3_XXS", {256, 98}, OfCodebook(4, 32, codebooks::kThreeBitXxs)},
    {kIQ3_S, "IQ3_S", {256, 110}, OfCodebook(4, 32, codebooks::kThreeBitS)},
    {kIQ4_NL, "IQ4_NL", {32, 18}, OfCodebook(4, 32, codebooks::kUneven)},
    {kIQ4_XS, "IQ4_XS", {256, 136}, OfCodebook(4, 32, codebooks::kUneven)},
    {kMXFP4, "MXFP4", {32, 17}, WithWideFactors(OfCodebook(4, 32, codebooks::kTwiceE2M1))},
};

// Types of ggml.h (ggml-org/llama.cpp), present and past, that are not read.
struct OtherType {
  uint32_t type;
  std::string_view name;
  std::string_view instead = "Q4_K_M or Q8_0";
};
constexpr OtherType kOtherTypes[] = {
    {4, "Q4_2"},
    {5, "Q4_3"},
    {9, "Q8_1", "Q8_0"},
    {24, "I8"},
    {25, "I16"},
    {26, "I32"},
    {27, "I64"},
    {28, "F64", "F32 or BF16"},
    {31, "Q4_0_4_4", "Q4_0"},
    {32, "Q4_0_4_8", "Q4_0"},
    {33, "Q4_0_8_8", "Q4_0"},
    {34, "TQ1_0"},
    {35, "TQ2_0"},
    {36, "IQ4_NL_4_4", "IQ4_NL"},
    {37, "IQ4_NL_4_8", "IQ4_NL"},
    {38, "IQ4_NL_8_8", "IQ4_NL"},
    {40, "NVFP4"},
    {41, "Q1_0"},
};

const TypeFacts* FactsOf(WeightType type) {
  const auto* const found = std::ranges::find(kTypes, type, &TypeFacts::type);
  return found == std::end(kTypes) ? nullptr : found;
}

}  // namespace

Result<WeightBlock> WeightBlockOf(uint32_t ggml_type) {
  if (const TypeFacts* facts = FactsOf(static_cast<WeightType>(ggml_type))) return facts->block;
  const auto* const found = std::ranges::find(kOtherTypes, ggml_type, &OtherType::type);
  const std::string number = fmt::format("number {}", ggml_type);
  const OtherType other = found == std::end(kOtherTypes) ? OtherType{ggml_type, number} : *found;
  return Fail(ErrorCode::kUnsupported,
              fmt::format("weights of type {} are not supported; take a file in {}", other.name,
                          other.instead));
}

std::string_view WeightTypeName(WeightType type) {
  const TypeFacts* const facts = FactsOf(type);
  return facts == nullptr ? "unknown" : facts->name;
}

GroupFormat GroupFormatOf(WeightType type) {
  const TypeFacts* const facts = FactsOf(type);
  return facts == nullptr ? kNoGroups : facts->groups;
}

}  // namespace reprise

#pragma once

// ReadGroup (pack_groups.h), type by type. `block` is a storage block, `sub` a group within it; q
// and d are written, m only by types with an offset. Stateless; any thread.

#include <cstddef>

#include "kernels/pack_groups.h"

namespace reprise {

// Super-blocks with integer scales (dequantize_k.cc). Q4_K, or Q5_K where `five_bits`.
void ReadGroup2K(const std::byte* block, int sub, WeightGroup& out);
void ReadGroup3K(const std::byte* block, int sub, WeightGroup& out);
void ReadGroup45K(const std::byte* block, int sub, bool five_bits, WeightGroup& out);
void ReadGroup6K(const std::byte* block, int sub, WeightGroup& out);
void ReadGroup8K(const std::byte* block, int sub, WeightGroup& out);

// Codes of a codebook in nibbles (dequantize_codebook.cc).
void ReadGroupIQ4_NL(const std::byte* block, WeightGroup& out);
void ReadGroupIQ4_XS(const std::byte* block, int sub, WeightGroup& out);
void ReadGroupMXFP4(const std::byte* block, WeightGroup& out);

// Indices into grids (dequantize_grid.cc).
void ReadGroupIQ1_S(const std::byte* block, int sub, WeightGroup& out);
void ReadGroupIQ1_M(const std::byte* block, int sub, WeightGroup& out);
void ReadGroupIQ2_XXS(const std::byte* block, int sub, WeightGroup& out);
void ReadGroupIQ2_XS(const std::byte* block, int sub, WeightGroup& out);
void ReadGroupIQ2_S(const std::byte* block, int sub, WeightGroup& out);
void ReadGroupIQ3_XXS(const std::byte* block, int sub, WeightGroup& out);
void ReadGroupIQ3_S(const std::byte* block, int sub, WeightGroup& out);

}  // namespace reprise

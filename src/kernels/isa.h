#pragma once

// The instruction sets that the kernels are written for.

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace reprise {

// In the order of their worth.
enum class Isa : uint8_t {
  kPlain,    // any x86-64
  kAvx2,     // AVX2 with FMA
  kAvxVnni,  // the same, and AVX-VNNI: products of bytes in registers of 256 bits
  kAvx512,   // AVX-512 with VNNI and bf16
};

std::string_view IsaName(Isa isa);  // "plain", "avx2", "avx_vnni", "avx512"

// Whether this CPU and operating system have it.
bool CpuOffers(Isa isa);
std::vector<Isa> OfferedIsas();  // ascending
// The best that they offer.
Isa DetectIsa();
// By name, or "auto"; kUnsupported where it is not offered.
Result<Isa> ParseIsa(std::string_view name);

// The first set, by name, whose kernels give the same bits as those of `isa`: K and V of the two
// may be shared.
std::string_view BitsOf(Isa isa);

}  // namespace reprise

#pragma once

// The instruction sets that the kernels are written for.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace reprise {

// In the order of their worth, but for kAmxEmulated.
enum class Isa : uint8_t {
  kPlain,        // any x86-64
  kAvx2,         // AVX2 with FMA
  kAvxVnni,      // the same, and AVX-VNNI: products of bytes in registers of 256 bits
  kAvx512,       // AVX-512 with VNNI and bf16
  kAmxEmulated,  // AVX-512 that computes what kAmx does, bit for bit: slow, for tests
  kAmx,          // AVX-512, with tiles (AMX of int8 and bf16) where there are many rows
};

// "plain", "avx2", "avx_vnni", "avx512", "amx_emulated", "amx".
std::string_view IsaName(Isa isa);

// Whether this CPU and operating system have it. The first question about kAmx asks the system for
// the tiles (tile_permission.h).
bool CpuOffers(Isa isa);
std::vector<Isa> OfferedIsas();  // ascending
// The best that they offer; never kAmxEmulated.
Isa DetectIsa();
// Why DetectIsa() is less than this CPU has, a clause for the log: "no amx: Linux does not permit
// AMX tiles (...)"; empty where nothing was refused.
std::string RefusedIsa();
// By name, or "auto"; kUnsupported where it is not offered.
Result<Isa> ParseIsa(std::string_view name);

// The first set, by name, whose kernels give the same bits as those of `isa`: K and V of the two
// may be shared.
std::string_view BitsOf(Isa isa);

}  // namespace reprise

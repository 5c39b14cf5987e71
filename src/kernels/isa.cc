#include <fmt/format.h>

#include "kernels/operations.h"

namespace reprise {
namespace {

// Asks the CPU and, for the wide registers, whether the operating system saves them. F16C is not
// asked for: every CPU with AVX2 and FMA has it.
bool CpuOffers(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::kAvx512:
      return CpuOffers(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") &&
             __builtin_cpu_supports("avx512bf16");
  }
  return false;
}

}  // namespace

Isa DetectIsa() {
  if (CpuOffers(Isa::kAvx512)) return Isa::kAvx512;
  if (CpuOffers(Isa::kAvx2)) return Isa::kAvx2;
  return Isa::kPlain;
}

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return "plain";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

Result<Isa> ParseIsa(std::string_view name) {
  if (name == "auto") return DetectIsa();
  for (Isa isa : {Isa::kPlain, Isa::kAvx2, Isa::kAvx512}) {
    if (name != IsaName(isa)) continue;
    if (!CpuOffers(isa)) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("this CPU lacks the instruction set {}", name));
    }
    return isa;
  }
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("unknown instruction set '{}': auto, plain, avx2 or avx512", name));
}

}  // namespace reprise

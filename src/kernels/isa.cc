#include "kernels/isa.h"

#include <fmt/format.h>

#include <array>

#include "kernels/tile_permission.h"

namespace reprise {
namespace {

struct Row {
  Isa isa;
  std::string_view name;
  std::string_view bits_of;
};

// Ascending.
constexpr std::array kRows = {
    Row{Isa::kPlain, "plain", "plain"},
    Row{Isa::kAvx2, "avx2", "avx2"},
    Row{Isa::kAvxVnni, "avx_vnni", "avx2"},
    Row{Isa::kAvx512, "avx512", "avx512"},
    Row{Isa::kAmxEmulated, "amx_emulated", "amx_emulated"},
    Row{Isa::kAmx, "amx", "amx_emulated"},
};

const Row& RowOf(Isa isa) { return kRows[static_cast<size_t>(isa)]; }

}  // namespace

// Asks the CPU and, for the wide registers, whether the operating system saves them. F16C is not
// asked for: every CPU with AVX2 and FMA has it.
bool CpuOffers(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::kAvxVnni:
      return CpuOffers(Isa::kAvx2) && __builtin_cpu_supports("avxvnni");
    case Isa::kAvx512:
      return CpuOffers(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") &&
             __builtin_cpu_supports("avx512bf16");
    case Isa::kAmxEmulated:
      return CpuOffers(Isa::kAvx512);
    case Isa::kAmx:
      return CpuOffers(Isa::kAvx512) && TilePermission().has_value();
  }
  return false;
}

std::vector<Isa> OfferedIsas() {
  std::vector<Isa> offered;
  for (const Row& row : kRows) {
    if (CpuOffers(row.isa)) offered.push_back(row.isa);
  }
  return offered;
}

Isa DetectIsa() {
  std::vector<Isa> offered = OfferedIsas();
  std::erase(offered, Isa::kAmxEmulated);
  return offered.back();
}

std::string RefusedIsa() {
  const Status& tiles = TilePermission();
  if (tiles || tiles.error().code == ErrorCode::kNotFound) return {};
  return fmt::format("no {}: {}", IsaName(Isa::kAmx), tiles.error().message);
}

std::string_view IsaName(Isa isa) { return RowOf(isa).name; }

std::string_view BitsOf(Isa isa) { return RowOf(isa).bits_of; }

Result<Isa> ParseIsa(std::string_view name) {
  if (name == "auto") return DetectIsa();
  std::string names = "auto";
  for (const Row& row : kRows) {
    if (name == row.name) {
      if (CpuOffers(row.isa)) return row.isa;
      if (row.isa == Isa::kAmx && !TilePermission()) {
        return Fail(ErrorCode::kUnsupported,
                    fmt::format("{}: {}", name, TilePermission().error().message));
      }
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("this CPU lacks the instruction set {}", name));
    }
    names += fmt::format(", {}", row.name);
  }
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("unknown instruction set '{}': one of {}", name, names));
}

}  // namespace reprise

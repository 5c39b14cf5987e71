#include "kernels/tile_permission.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace reprise {
namespace {

bool CpuHasAmx() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kBf16 = 1U << 22;
  constexpr unsigned kTile = 1U << 24;
  constexpr unsigned kInt8 = 1U << 25;
  constexpr unsigned kAll = kBf16 | kTile | kInt8;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kAll) == kAll;
}

// Whether the operating system saves the tiles of a thread (XCR0: configuration and data).
bool SystemSavesTiles() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kXgetbvIsEnabled = 1U << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kXgetbvIsEnabled) == 0) return false;
  uint32_t low = 0;
  uint32_t high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr uint32_t kTileStates = 3U << 17;
  return (low & kTileStates) == kTileStates;
}

Status AskForTiles() {
  if (!CpuHasAmx()) return Fail(ErrorCode::kNotFound, "this CPU has no AMX");
  if (!SystemSavesTiles()) {
    return Fail(ErrorCode::kUnsupported, "the operating system does not save AMX tiles");
  }
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("Linux does not permit AMX tiles ({})", std::strerror(errno)));
  }
  return {};
}

}  // namespace

const Status& TilePermission() {
  static const Status permission = AskForTiles();
  return permission;
}

}  // namespace reprise

#include "app/machine.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/limits.h"

namespace reprise {

uint64_t MemoryBytes() {
  const auto machine =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t group = 0;
  std::ifstream limit("/sys/fs/cgroup/memory.max");
  if (limit >> group && group > 0) return std::min(machine, group);
  return machine;
}

void BoundKeptMemory() {
  mallopt(M_MMAP_THRESHOLD, limits::kKeptMemoryBytes);
  mallopt(M_TRIM_THRESHOLD, limits::kKeptMemoryBytes);
}

}  // namespace reprise

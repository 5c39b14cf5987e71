#include "app/machine.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace reprise {

uint64_t MemoryBytes() {
  const auto machine =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t group = 0;
  std::ifstream limit("/sys/fs/cgroup/memory.max");
  if (limit >> group && group > 0) return std::min(machine, group);
  return machine;
}

}  // namespace reprise

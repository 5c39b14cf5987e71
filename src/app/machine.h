#pragma once

// What this process may use of the machine, and keeps of it.

#include <cstdint>

namespace reprise {

// Of memory: the machine's, or its control group's if that is less.
uint64_t MemoryBytes();

// Memory of long requests goes back to the system when they end. glibc would raise these two by
// itself as far as 32 and 64 MiB once a long body has been freed, and keep that much in each of its
// arenas.
void BoundKeptMemory();

}  // namespace reprise

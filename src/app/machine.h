#pragma once

// What this process may use of the machine.

#include <cstdint>

namespace reprise {

// Of memory: the machine's, or its control group's if that is less.
uint64_t MemoryBytes();

}  // namespace reprise

#pragma once

// Which of the machine's CPUs this process may use.

#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace reprise {

// How many threads compute fastest: cores among the CPUs that the process is bound to, of which
// hyperthreads that share one count once, and no more than its control group may use at a time
// (cpu.max, rounded up). At least 1.
int DefaultThreads();

// CPUs by number, as taskset and the kernel write them: "0-3,8". Ascending, each once.
// kInvalidArgument for anything else.
Result<std::vector<int>> ParseCpus(std::string_view list);

// Binds the calling thread, and those that it starts from now on. kInvalidArgument where none of
// the CPUs is there or allowed.
Status BindToCpus(std::span<const int> cpus);

}  // namespace reprise

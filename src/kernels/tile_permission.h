#pragma once

// Whether this process may use the tile registers of AMX (tiles.h). Linux keeps their 8 KiB out of
// threads' signal frames until a process asks for them: once, for all its threads, those that run
// already and children that it forks among them. It is refused where a thread has an alternative
// signal stack too small for the larger frame, and once granted, such a stack is: so this is asked
// early. Linux, Documentation/arch/x86/xstate.rst. Any thread.

#include "base/error.h"

namespace reprise {

// Asks on the first call; later calls repeat its answer. kNotFound where the CPU has no AMX with
// int8 and bf16, kUnsupported where it has and this process may not use it: the message says why.
const Status& TilePermission();

}  // namespace reprise

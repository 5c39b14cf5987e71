#pragma once

// How long OpenMP threads wait in a loop before they sleep. Called first in main.

namespace reprise {

// libgomp's default spins for milliseconds. Where another process wants the core (a client on the
// same machine, another server), the threads of a parallel region then wait for each other's time
// slice, and everything is several times slower. libgomp reads its environment before main, so this
// sets GOMP_SPINCOUNT and starts the program again, unless the user has chosen a policy. Returns
// only if that is not needed or not possible.
void BoundOpenMpSpinning(char** argv);

}  // namespace reprise

#pragma once

// How long OpenMP threads wait in a loop before they sleep. Called first in main.

namespace reprise {

// libgomp's default spins for milliseconds. Where another process wants the core (a client on the
// same machine, another server), the threads of a parallel region then wait for each other's time
// slice, and everything is several times slower. libgomp reads its environment before main, so this
// sets GOMP_SPINCOUNT and starts the program again, unless the user has chosen a policy. Returns
// only if that is not needed or not possible.
void BoundOpenMpSpinning(char** argv);

// Ends the threads that the calling thread's parallel regions have used; a later region starts new
// ones. libgomp keeps a pool for each thread that forks, counts the threads of all pools, and spins
// hardly at all once they are more than the CPUs. Model loading forks on the main thread, steps on
// the engine's: without this, a step's threads sleep and are woken dozens of times a token.
void ReleaseOpenMpThreads();

}  // namespace reprise

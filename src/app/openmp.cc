#include "app/openmp.h"

#include <stdlib.h>
#include <unistd.h>

namespace reprise {

void BoundOpenMpSpinning(char** argv) {
  if (getenv("GOMP_SPINCOUNT") != nullptr || getenv("OMP_WAIT_POLICY") != nullptr) return;
  // Some microseconds: longer than the pause between two parallel regions of a step.
  setenv("GOMP_SPINCOUNT", "1000", 0);
  execv("/proc/self/exe", argv);
}

}  // namespace reprise

#include "app/openmp.h"

#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace reprise {

void BoundOpenMpSpinning(char** argv) {
  if (getenv("GOMP_SPINCOUNT") != nullptr || getenv("OMP_WAIT_POLICY") != nullptr) return;
  // Some microseconds: longer than the pause between two parallel regions of a step. Decoding on
  // two cores, alone / beside a process that wants one of them, tokens a second: 300 rounds 297 /
  // 148, 1,000 rounds 345 / 97, 5,000 rounds 327 / 45 (llama-server on the same file: 193 / 35).
  setenv("GOMP_SPINCOUNT", "1000", 0);
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) execv(program.c_str(), argv);
}

void ReleaseOpenMpThreads() { omp_pause_resource_all(omp_pause_soft); }

}  // namespace reprise

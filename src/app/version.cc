#include "app/version.h"

#include <fmt/format.h>

#include "kernels/operations.h"

namespace reprise {

std::string VersionLine() {
  return fmt::format("reprise {} (commit {}, {})", REPRISE_VERSION, BuiltCommit(),
                     IsaName(DetectIsa()));
}

}  // namespace reprise

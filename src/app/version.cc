#include "app/version.h"

#include <fmt/format.h>

#include "kernels/operations.h"

namespace reprise {

std::string_view BuiltVersion() { return REPRISE_VERSION; }

std::string VersionLine() {
  return fmt::format("reprise {} (commit {}, {})", BuiltVersion(), BuiltCommit(),
                     IsaName(DetectIsa()));
}

}  // namespace reprise

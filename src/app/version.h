#pragma once

// Which build this is, as `reprise --version` says it. Any thread.

#include <string>
#include <string_view>

namespace reprise {

// "0.1.0"
std::string_view BuiltVersion();

// Of the sources that were built, with "-dirty" where they had changes; "unknown" without git. The
// build writes its definition (write_commit.cmake).
std::string_view BuiltCommit();

// "reprise 0.1.0 (commit 3dda3cb, avx512)": version, commit, and the best instruction set that
// this CPU offers.
std::string VersionLine();

}  // namespace reprise

#pragma once

// `reprise cache`: what operators do with a folder of `reprise serve --disk`, while no server uses
// it.

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace reprise {

struct CacheOptions {
  enum class Verb : uint8_t { kStat, kVerify, kPrune, kClear };
  Verb verb = Verb::kStat;
  std::string folder;
  bool mend = false;                            // kVerify: erase what is bad
  uint64_t bytes = UINT64_MAX;                  // kPrune: more than that goes, the oldest first
  Duration retention = std::chrono::hours(24);  // kPrune: what is older and not promised goes
};

// Prints on standard output, progress on standard error. Returns the exit code: 1 when kVerify
// finds what is bad, 2 for a folder that cannot be used.
int RunCache(const CacheOptions& options);

}  // namespace reprise

#pragma once

// How far two prompts are the same. Pure; any thread.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "base/ids.h"

namespace reprise {

// The number of tokens that both begin with. Long runs are compared as memory, which is several
// times faster than token by token.
inline size_t CommonTokens(std::span<const TokenId> a, std::span<const TokenId> b) {
  constexpr size_t kRun = 512;
  const size_t length = std::min(a.size(), b.size());
  size_t common = 0;
  while (common + kRun <= length &&
         std::memcmp(&a[common], &b[common], kRun * sizeof(TokenId)) == 0) {
    common += kRun;
  }
  while (common < length && a[common] == b[common]) ++common;
  return common;
}

}  // namespace reprise

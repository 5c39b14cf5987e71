#pragma once

// A hash of the tokens from a root to the end of a block, kept along the path: a block's is its
// parent's, extended. Serves diagnosis only: it never decides what is equal. Pure functions.

#include <cstdint>
#include <span>
#include <string_view>

#include "base/ids.h"

namespace reprise::internal {

inline uint64_t MixHash(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio
  return hash ^ (hash >> 32);
}

inline uint64_t ExtendPathHash(uint64_t hash, std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) hash = MixHash(hash, static_cast<uint32_t>(token) + 1ULL);
  return hash;
}

// Of a root.
inline uint64_t ScopePathHash(std::string_view scope) {
  uint64_t hash = MixHash(0, scope.size());
  for (const char letter : scope) hash = MixHash(hash, static_cast<uint8_t>(letter));
  return hash;
}

}  // namespace reprise::internal

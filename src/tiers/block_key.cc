#include "tiers/block_key.h"

#include <bit>

namespace reprise {

static_assert(std::endian::native == std::endian::little,
              "tokens are hashed as they lie in memory");

BlockKey RootKey(const Sha256& identity, std::string_view scope) {
  return Sha256Hasher().Add("reprise block chain").Add(identity).Add(scope).Finish();
}

BlockKey StatePartKey(const BlockKey& block, uint32_t part) {
  return Sha256Hasher()
      .Add("reprise recurrent state")
      .Add(block)
      .Add(std::as_bytes(std::span(&part, 1)))
      .Finish();
}

BlockKey ChildKey(const BlockKey& parent, std::span<const TokenId> tokens) {
  return Sha256Hasher().Add(parent).Add(std::as_bytes(tokens)).Finish();
}

}  // namespace reprise

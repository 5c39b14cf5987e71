#include "tiers/block_key.h"

#include <bit>
#include <cstring>

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

BlockName NameOf(const BlockKey& key) {
  BlockName name = 0;
  std::memcpy(&name, key.bytes.data(), sizeof name);
  return name;
}

std::vector<BlockName> ChainOf(const Sha256& identity, std::string_view scope,
                               std::span<const TokenId> tokens, size_t block_tokens) {
  std::vector<BlockName> chain;
  chain.reserve(tokens.size() / block_tokens);
  BlockKey key = RootKey(identity, scope);
  for (size_t end = block_tokens; end <= tokens.size(); end += block_tokens) {
    key = ChildKey(key, tokens.subspan(end - block_tokens, block_tokens));
    chain.push_back(NameOf(key));
  }
  return chain;
}

}  // namespace reprise

#pragma once

// Who a block of K and V is, where it outlives the process or leaves it: a SHA-256 over all that
// its bits depend on. Equal keys, equal bits.
//
//   root   = SHA-256("reprise block chain", identity, scope)
//   key    = SHA-256(parent's key, the block's tokens, four bytes each, the lowest first)
//
//   part   = SHA-256("reprise recurrent state", key of the block before it, number)
//
// A recurrent state behind a block's last token is stored in parts, each as large as a block and
// with that block's tokens.
//
// `identity` (model/kv_identity.h) stands for the model's content, the layout of K and V and the
// arithmetic; the scope (cache/scope.h) for tenant and cache key. Pure functions; any thread.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/block_name.h"
#include "base/ids.h"
#include "base/sha256.h"

namespace reprise {

using BlockKey = Sha256;

BlockKey RootKey(const Sha256& identity, std::string_view scope);
BlockKey StatePartKey(const BlockKey& block, uint32_t part);
BlockKey ChildKey(const BlockKey& parent, std::span<const TokenId> tokens);

BlockName NameOf(const BlockKey& key);
// The names of the full blocks of `tokens`, the first first.
std::vector<BlockName> ChainOf(const Sha256& identity, std::string_view scope,
                               std::span<const TokenId> tokens, size_t block_tokens);

}  // namespace reprise

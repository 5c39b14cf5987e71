#pragma once

// The prompt cache: a tree over token ids whose nodes own blocks of K and V.
//
// One root per scope (tenant and whatever else separates populations). A node below it stands for
// one block: the 1..block_tokens tokens that it holds, following its parent's. Only full nodes have
// children. A node's tokens are compared as tokens: no hash decides what is equal.
//
//   root ── [t0 … t31] ── [t32 … t63] ── [t64 … t70]        a partial leaf: 7 tokens of its block
//                     └── [t32 … t40 x …]                   parts from its brother inside the block
//
// Matching is exact to the token: whole nodes are shared by reference; of the last node, where the
// prompt leaves it half way, `partial_tokens` leading rows may be copied into a block of one's own.
//
// A partial leaf's block may still be written by the sequence that published it, but only behind
// the tokens published so far. A full node's block is never written again.
//
// Evicted are leaves that no lease holds, least recently used first; a use (match or publish)
// touches the whole path, so no node is older than its descendants. A leaf idle for longer than the
// retention may be dropped by Expire.
//
// LAW, checked by Check(): every block of the pool is free, cached (owned by a node), or private
// (referenced by sequences only); the three counts sum to the pool's size.
//
// Owned by the engine thread. Builds and runs without a model.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "cache/block_pool.h"

namespace reprise {

class PrefixCache;
namespace internal {
struct PrefixNode;
}

// Pins a path of the tree: what it holds is not evicted. Move-only; releases itself. Must not
// outlive its cache.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();
  void Release();
  bool empty() const { return node_ == nullptr; }

 private:
  friend class PrefixCache;
  Lease(PrefixCache* cache, internal::PrefixNode* node);
  PrefixCache* cache_ = nullptr;
  internal::PrefixNode* node_ = nullptr;  // the deepest node held
};

struct PrefixMatch {
  size_t tokens = 0;               // matched in all: blocks.size() * block_tokens + partial_tokens
  std::vector<BlockId> blocks;     // full nodes, in order
  std::optional<BlockId> partial;  // the node the prompt leaves half way, or a partial leaf
  size_t partial_tokens = 0;       // leading rows of `partial` that are common
  Lease lease;                     // holds all of the above
};

class PrefixCache {
 public:
  struct Options {
    int block_tokens = 32;
    Duration retention = std::chrono::minutes(10);
  };
  struct Counters {  // since start
    uint64_t evicted_blocks = 0;
    uint64_t expired_blocks = 0;
    uint64_t published_blocks = 0;     // nodes created
    uint64_t deduplicated_blocks = 0;  // publishing found the tokens cached already
  };
  struct Sizes {
    size_t total_blocks = 0;
    size_t free_blocks = 0;
    size_t cached_blocks = 0;   // owned by the tree
    size_t private_blocks = 0;  // referenced by sequences only
    size_t leased_blocks = 0;   // cached and held by a lease: not evictable now
    size_t cached_tokens = 0;
    size_t scopes = 0;
  };

  PrefixCache(BlockPool* pool, const Clock* clock, Options options);
  ~PrefixCache();

  // The longest cached prefix of `tokens` in `scope`, at most `limit` tokens, touched and leased.
  PrefixMatch Match(std::string_view scope, std::span<const TokenId> tokens, size_t limit);
  // Its length only; touches nothing.
  size_t Peek(std::string_view scope, std::span<const TokenId> tokens) const;

  // Makes the block that holds tokens[first .. tokens.size()) findable; first is a multiple of
  // block_tokens and tokens.size() - first in 1..block_tokens. tokens[0, first) must be cached
  // (REQUIRES: as full nodes; the caller's lease holds them). `lease` moves on to the new node.
  // Returns the block that now stands for those tokens: `block` itself, of which the tree takes a
  // reference of its own; or, when an equal full node is there already, that node's block, of which
  // the CALLER gets a reference while `block` loses the caller's reference (equal tokens, equal
  // bits: promise 2). A partial leaf that is a prefix of what is published is superseded and its
  // block given back; publishing what is a proper prefix of (or equal to) a cached partial leaf or
  // full node keeps both caller's block private and the tree unchanged, and returns `block`.
  BlockId Publish(std::string_view scope, std::span<const TokenId> tokens, size_t first,
                  BlockId block, Lease& lease);

  // A free block, evicting if need be; nullopt if everything is held.
  std::optional<BlockId> Allocate();
  // Blocks that Allocate could hand out now: free ones and those that eviction can reach.
  size_t available_blocks() const;

  // Drops what has been idle for longer than the retention; returns blocks freed.
  size_t Expire();
  // When Expire will next have something to do; nullopt if nothing is cached.
  std::optional<TimePoint> next_expiry() const;
  // Drops everything that no lease holds; returns blocks freed.
  size_t Flush();

  Sizes sizes() const;
  const Counters& counters() const;
  int block_tokens() const;

  // Whole-state check of the law and of the tree's invariants; aborts with the invariant broken.
  void Check() const;

 private:
  friend class Lease;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise

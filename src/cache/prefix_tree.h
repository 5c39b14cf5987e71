#pragma once

// The structure behind PrefixCache: nodes, their order, pins and recency. Knows how to change the
// tree and keep its invariants; what the verbs mean is prefix_cache.cc's business. Not included
// outside this folder. Owned by the engine thread.
//
// Nodes live in one array indexed by block id, so a block has at most one node, and finding a
// block's node is free. A node is
//   unused      its block is free or private;
//   attached    among its parent's children, found by Match;
//   superseded  a longer brother took its place while leases held it: no longer found, freed with
//               the last of those leases. It keeps its parent, and pins it. Has no children.
//
// pins = leases on the node itself + children (superseded ones too) with pins > 0. So pinning walks
// up only as far as nothing was pinned, and a node without pins has a whole subtree without leases:
// eviction, leaf by leaf, can reach it. That is what makes available_blocks O(1).
//
// Eviction order is a set of the attached leaves without pins, by the tick of their last use. Every
// use has its own tick and touches one path, and of one path at most one node is a leaf: no ties.
// (Retention classes would order this set by class, then tick.)

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "cache/block_pool.h"

namespace reprise::internal {

enum class NodeState : uint8_t { kUnused, kAttached, kSuperseded };

struct PrefixNode {
  PrefixNode* parent = nullptr;       // nullptr: a root
  std::vector<PrefixNode*> children;  // ascending by tokens; none is a prefix of another
  const TokenId* tokens = nullptr;    // [token_count], in the tree's token array
  uint32_t token_count = 0;           // 1..block_tokens; 0 in roots
  uint32_t depth = 0;                 // blocks from the root; 0 in roots
  BlockId block;                      // none in roots
  NodeState state = NodeState::kUnused;
  bool evictable = false;  // in the eviction order
  uint32_t leases = 0;
  uint32_t pins = 0;
  uint64_t last_tick = 0;
  TimePoint last_use;

  bool is_root() const { return parent == nullptr; }
  std::span<const TokenId> Tokens() const { return {tokens, token_count}; }
};

struct PrefixRoot : PrefixNode {
  std::string_view scope;
};

class PrefixTree {
 public:
  using Tokens = std::span<const TokenId>;
  struct Neighbour {
    PrefixNode* node = nullptr;  // nullptr if no child shares a token
    size_t common = 0;           // leading tokens shared
  };

  PrefixTree(BlockPool* pool, const Clock* clock, int block_tokens);
  ~PrefixTree();  // REQUIRES: no lease is left
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  PrefixNode* FindRoot(std::string_view scope);
  PrefixNode* FindOrAddRoot(std::string_view scope);
  std::string_view ScopeOf(const PrefixNode* node) const;
  // The child that shares most leading tokens with `rest` (its first block_tokens count). Of
  // equally good ones the greatest below `rest`, if any is below, or the least.
  Neighbour FindNearest(const PrefixNode* parent, Tokens rest) const;
  // The block's node, or nullptr if it has none.
  PrefixNode* NodeOf(BlockId block);

  void Pin(PrefixNode* node);
  void Unpin(PrefixNode* node);  // may free superseded nodes and drop the root
  void Touch(PrefixNode* node);  // it and all above it

  // A new child of parent, or the superseded node of this block brought back, with these tokens.
  // The new node is not in the eviction order before Pin and Unpin: the caller leases it.
  PrefixNode* Attach(PrefixNode* parent, Tokens tokens, BlockId block);
  void Grow(PrefixNode* node, Tokens tokens);  // REQUIRES: its tokens are a prefix of `tokens`
  // Takes a leaf out of its parent's children; frees it if it has no pins.
  void Supersede(PrefixNode* leaf);

  const PrefixNode* Oldest() const;  // next in the eviction order; nullptr if empty
  void EvictOldest();                // REQUIRES: Oldest() is not null

  void Check() const;

  BlockPool& pool() { return *pool_; }
  const BlockPool& pool() const { return *pool_; }
  TimePoint Now() const { return clock_->Now(); }
  size_t block_tokens() const { return block_tokens_; }
  size_t cached_blocks() const { return cached_blocks_; }
  size_t leased_blocks() const { return leased_blocks_; }
  size_t cached_tokens() const { return cached_tokens_; }
  size_t scopes() const { return roots_.size(); }

 private:
  using Children = std::vector<PrefixNode*>;
  struct Census;

  Children::const_iterator LowerBound(const PrefixNode* parent, Tokens tokens) const;
  void SetTokens(PrefixNode* node, Tokens tokens);
  void Detach(PrefixNode* leaf);
  void Free(PrefixNode* leaf);
  void AddEvictable(PrefixNode* node);
  void RemoveEvictable(PrefixNode* node);
  void SettleWithoutChild(PrefixNode* parent);
  void DropRoot(PrefixNode* root);

  void CheckNode(const PrefixNode& node, Census& census) const;
  void CheckChildren(const PrefixNode& parent) const;
  void CheckBlocks(const Census& census) const;

  BlockPool* pool_;
  const Clock* clock_;
  size_t block_tokens_;
  std::vector<PrefixNode> nodes_;  // by block id; never resized
  std::vector<TokenId> tokens_;    // [block_count, block_tokens]
  std::map<std::string, PrefixRoot, std::less<>> roots_;
  std::set<std::pair<uint64_t, PrefixNode*>> evictable_;  // by last_tick
  uint64_t tick_ = 0;
  uint64_t leases_ = 0;
  size_t cached_blocks_ = 0;
  size_t leased_blocks_ = 0;
  size_t cached_tokens_ = 0;
};

}  // namespace reprise::internal

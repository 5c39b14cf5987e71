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
// A node is held by leases (sequences that run) and for promises (breakpoints whose time is not
// up, promise_table.h); the two are counted apart, in the same way:
// pins = holds on the node itself + children (superseded ones too) with pins > 0. So pinning walks
// up only as far as nothing was pinned, and a node without pins has a whole subtree without holds:
// eviction, leaf by leaf, can reach it. That is what makes available_blocks O(1).
//
// Eviction order is a set of the attached leaves without pins, by the tick of their last use. Every
// use has its own tick and touches one path, and of one path at most one node is a leaf: no ties.

#include <array>
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
#include "cache/block_listener.h"
#include "cache/block_pool.h"
#include "cache/tenant_sizes.h"

namespace reprise::internal {

enum class NodeState : uint8_t { kUnused, kAttached, kSuperseded };

enum class Hold : uint8_t { kLease, kPromise };
inline constexpr std::array kHolds = {Hold::kLease, Hold::kPromise};

struct HoldCount {
  uint32_t own = 0;   // on the node itself
  uint32_t pins = 0;  // own + children with pins
};

struct PrefixRoot;

struct PrefixNode {
  PrefixNode* parent = nullptr;       // nullptr: a root
  PrefixRoot* root = nullptr;         // of its scope; a root is its own
  std::vector<PrefixNode*> children;  // ascending by tokens; none is a prefix of another
  const TokenId* tokens = nullptr;    // [token_count], in the tree's token array
  uint32_t token_count = 0;           // 1..block_tokens; 0 in roots
  uint32_t depth = 0;                 // blocks from the root; 0 in roots
  BlockId block;                      // none in roots
  uint64_t path_hash = 0;             // of full nodes and roots: path_hash.h
  NodeState state = NodeState::kUnused;
  bool evictable = false;  // in the eviction order
  std::array<HoldCount, kHolds.size()> holds;
  uint64_t last_tick = 0;
  TimePoint last_use;
  uint64_t reads = 0;  // by lookups that found it, wholly or in part

  bool is_root() const { return parent == nullptr; }
  HoldCount& held(Hold hold) { return holds[static_cast<size_t>(hold)]; }
  bool pinned(Hold hold) const { return holds[static_cast<size_t>(hold)].pins > 0; }
  bool pinned() const { return pinned(Hold::kLease) || pinned(Hold::kPromise); }
  std::span<const TokenId> Tokens() const { return {tokens, token_count}; }
};

struct PrefixRoot : PrefixNode {
  std::string_view scope;
  TenantSizes* tenant = nullptr;  // whose scope it is; counts for all of them
};

class PrefixTree {
 public:
  using Tokens = std::span<const TokenId>;
  struct Neighbour {
    PrefixNode* node = nullptr;  // nullptr if no child shares a token
    size_t common = 0;           // leading tokens shared
  };

  PrefixTree(BlockPool* pool, const Clock* clock, int block_tokens);
  ~PrefixTree();  // REQUIRES: no hold is left
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  // Is told from now on which full blocks are attached; nullptr: nobody is.
  void SetListener(BlockListener* listener) { listener_ = listener; }
  // Tells it all that are, a block before those behind it and, where that is one, right before it.
  void TellFullBlocks(BlockListener& listener) const;

  PrefixNode* FindRoot(std::string_view scope);
  PrefixNode* FindOrAddRoot(std::string_view scope);
  template <typename Visit>
  void ForEachRoot(Visit visit) const {
    for (const auto& [scope, root] : roots_) visit(root);
  }
  // Of those that have a scope; nullptr for others.
  const TenantSizes* FindTenant(std::string_view tenant) const;
  template <typename Visit>
  void ForEachTenant(Visit visit) const {
    for (const auto& [name, tenant] : tenants_) visit(tenant);
  }
  // The child that shares most leading tokens with `rest` (its first block_tokens count). Of
  // equally good ones the greatest below `rest`, if any is below, or the least.
  Neighbour FindNearest(const PrefixNode* parent, Tokens rest) const;
  // A child that goes on behind `rest`, or along it to its own end where that is full; of several,
  // the one that was used last (of the first few). nullptr if there is none.
  const PrefixNode* FindBeyond(const PrefixNode* parent, Tokens rest) const;
  // Most leading tokens that a node shares with another child of its parent.
  size_t CommonWithBrothers(const PrefixNode* node) const;
  // Walks down from `node` along `tokens` as long as whole nodes match and calls on_full(node) for
  // each; then returns the node left half way, if any.
  template <typename OnFull>
  Neighbour Descend(const PrefixNode* node, Tokens tokens, OnFull on_full) const;
  // The block's node, or nullptr if it has none.
  PrefixNode* NodeOf(BlockId block);
  // Calls visit(node) for each that is attached or superseded. O(blocks of the pool).
  template <typename Visit>
  void ForEachNode(Visit visit) const {
    for (const PrefixNode& node : nodes_) {
      if (node.state != NodeState::kUnused) visit(node);
    }
  }

  // A root is pinned for a promise only that has no node yet.
  void Pin(PrefixNode* node, Hold hold);
  void Unpin(PrefixNode* node, Hold hold);  // may free superseded nodes and drop the root
  void Touch(PrefixNode* node);             // it and all above it
  void CountRead(PrefixNode* node);         // the same

  // A new child of parent, or the superseded node of this block brought back, with these tokens.
  // The new node is not in the eviction order before Pin and Unpin: the caller leases it.
  PrefixNode* Attach(PrefixNode* parent, Tokens tokens, BlockId block);
  void Grow(PrefixNode* node, Tokens tokens);  // REQUIRES: its tokens are a prefix of `tokens`
  // Takes a leaf, held for no promise, out of its parent's children; frees it if no lease holds it.
  void Supersede(PrefixNode* leaf);

  PrefixNode* Oldest() const;    // next in the eviction order; nullptr if empty
  void Evict(PrefixNode* leaf);  // REQUIRES: it is in that order

  void Check() const;

  BlockPool& pool() { return *pool_; }
  const BlockPool& pool() const { return *pool_; }
  TimePoint Now() const { return clock_->Now(); }
  size_t block_tokens() const { return block_tokens_; }
  size_t cached_blocks() const { return cached_blocks_; }
  size_t pinned_blocks() const { return pinned_blocks_; }  // by either hold
  size_t pinned_blocks(Hold hold) const { return pinned_by_[static_cast<size_t>(hold)]; }
  uint64_t holds(Hold hold) const { return holds_[static_cast<size_t>(hold)]; }
  size_t cached_tokens() const { return cached_tokens_; }
  size_t scopes() const { return roots_.size(); }
  size_t tenants() const { return tenants_.size(); }

 private:
  using Children = std::vector<PrefixNode*>;
  struct Counts;

  Children::const_iterator LowerBound(const PrefixNode* parent, Tokens tokens) const;
  void SetTokens(PrefixNode* node, Tokens tokens);
  void CountTokens(const PrefixNode& node, std::ptrdiff_t change);
  bool full(const PrefixNode& node) const { return node.token_count == block_tokens_; }
  void TellStored(BlockListener& listener, const PrefixNode& node) const;
  void Detach(PrefixNode* leaf);
  void Free(PrefixNode* leaf);
  void AddEvictable(PrefixNode* node);
  void RemoveEvictable(PrefixNode* node);
  void AfterLosingChild(PrefixNode* parent);
  void DropRoot(PrefixNode* root);

  void CheckHolds(const PrefixNode& node, Counts& counts) const;
  void CheckNode(const PrefixNode& node, Counts& counts) const;
  void CheckChildren(const PrefixNode& parent) const;
  void CheckTenants(const Counts& counts) const;
  void CheckBlocks(const Counts& counts) const;

  BlockPool* pool_;
  const Clock* clock_;
  size_t block_tokens_;
  BlockListener* listener_ = nullptr;
  std::vector<PrefixNode> nodes_;                            // by block id; never resized
  std::vector<TokenId> tokens_;                              // [block_count, block_tokens]
  std::map<std::string, PrefixRoot, std::less<>> roots_;     // by scope
  std::map<std::string, TenantSizes, std::less<>> tenants_;  // by name
  std::set<std::pair<uint64_t, PrefixNode*>> evictable_;     // by last_tick
  uint64_t tick_ = 0;
  std::array<uint64_t, kHolds.size()> holds_ = {};
  size_t cached_blocks_ = 0;
  size_t pinned_blocks_ = 0;
  std::array<size_t, kHolds.size()> pinned_by_ = {};
  size_t cached_tokens_ = 0;
};

template <typename OnFull>
PrefixTree::Neighbour PrefixTree::Descend(const PrefixNode* node, Tokens tokens,
                                          OnFull on_full) const {
  while (!tokens.empty()) {
    const Neighbour next = FindNearest(node, tokens);
    if (next.common < block_tokens_) return next;
    on_full(next.node);
    node = next.node;
    tokens = tokens.subspan(next.common);
  }
  return {};
}

}  // namespace reprise::internal

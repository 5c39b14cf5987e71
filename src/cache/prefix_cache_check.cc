// PrefixTree::Check, the whole-state check: everything that is kept incrementally is counted anew.

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>

#include "base/check.h"
#include "cache/path_hash.h"
#include "cache/prefix_tree.h"
#include "cache/scope.h"

namespace reprise::internal {

struct PrefixTree::Counts {
  size_t attached = 0;  // reached from the roots
  size_t tokens = 0;    // of those
  size_t cached = 0;    // nodes in use
  size_t pinned = 0;    // of those, with pins
  size_t evictable = 0;
  std::array<size_t, kHolds.size()> pinned_by = {};
  std::array<uint64_t, kHolds.size()> holds = {};
  std::array<std::unordered_map<const PrefixNode*, uint32_t>, kHolds.size()> pinned_children;
  std::map<std::string, TenantSizes, std::less<>> tenants;  // of what the tree counts
};

void PrefixTree::CheckChildren(const PrefixNode& parent) const {
  CHECK(parent.is_root() || parent.children.empty() || parent.token_count == block_tokens_,
        "only full nodes have children");
  for (size_t i = 0; i < parent.children.size(); ++i) {
    const PrefixNode& child = *parent.children[i];
    CHECK(child.parent == &parent, "a child knows its parent");
    CHECK(child.state == NodeState::kAttached, "children are attached");
    CHECK(child.depth == parent.depth + 1, "a child is one block deeper than its parent");
    CHECK(child.last_tick <= parent.last_tick && child.last_use <= parent.last_use,
          "no node is older than its descendants");
    if (i == 0) continue;
    const Tokens before = parent.children[i - 1]->Tokens();
    const Tokens tokens = child.Tokens();
    CHECK(std::ranges::lexicographical_compare(before, tokens), "children ascend");
    CHECK(!std::ranges::equal(before, tokens.first(std::min(before.size(), tokens.size()))),
          "no child is a prefix of another");
  }
}

void PrefixTree::CheckHolds(const PrefixNode& node, Counts& counts) const {
  for (const Hold hold : kHolds) {
    const auto kind = static_cast<size_t>(hold);
    const auto found = counts.pinned_children[kind].find(&node);
    const uint32_t children = found == counts.pinned_children[kind].end() ? 0 : found->second;
    CHECK(node.holds[kind].pins == node.holds[kind].own + children,
          "pins are holds and pinned children");
    counts.holds[kind] += node.holds[kind].own;
    counts.pinned_by[kind] += !node.is_root() && node.pinned(hold);
  }
}

void PrefixTree::CheckNode(const PrefixNode& node, Counts& counts) const {
  CheckHolds(node, counts);
  if (node.is_root()) {
    CHECK(node.holds[static_cast<size_t>(Hold::kLease)].own == 0, "leases hold blocks");
    CHECK(node.pinned() || !node.children.empty(), "a root of nothing is dropped");
    return;
  }
  const bool attached = node.state == NodeState::kAttached;
  CHECK(node.token_count >= 1 && node.token_count <= block_tokens_,
        "a node holds 1..block_tokens tokens");
  CHECK(attached ||
            (node.pinned(Hold::kLease) && !node.pinned(Hold::kPromise) && node.children.empty()),
        "what is superseded is a leaf that a lease holds");
  CHECK(node.root == node.parent->root, "a node is in its parent's scope");
  CHECK(node.token_count < block_tokens_ ||
            node.path_hash == ExtendPathHash(node.parent->path_hash, node.Tokens()),
        "a full node's path hash is its parent's, extended");
  CHECK(node.evictable == (attached && !node.pinned() && node.children.empty()),
        "evictable are the leaves that nothing holds");
  CHECK(node.evictable == evictable_.contains({node.last_tick, const_cast<PrefixNode*>(&node)}),
        "the eviction order holds what is evictable");
  CHECK(node.pinned(Hold::kLease) || pool_->references(node.block) == 1,
        "a sequence that references a cached block holds a lease on it");
  TenantSizes& tenant = counts.tenants[TenantOf(node.root->scope)];
  ++tenant.cached_blocks;
  tenant.cached_tokens += attached ? node.token_count : 0;
  tenant.pinned_blocks += node.pinned(Hold::kPromise);
  ++counts.cached;
  counts.pinned += node.pinned();
  counts.evictable += node.evictable;
}

void PrefixTree::CheckTenants(const Counts& counts) const {
  CHECK(counts.tenants.size() == tenants_.size(), "a tenant is known while it has a scope");
  for (const auto& [name, counted] : counts.tenants) {
    const TenantSizes* tenant = FindTenant(name);
    CHECK(tenant != nullptr && tenant->tenant == name, "a tenant is known while it has a scope");
    CHECK(tenant->scopes == counted.scopes && tenant->cached_blocks == counted.cached_blocks &&
              tenant->cached_tokens == counted.cached_tokens &&
              tenant->pinned_blocks == counted.pinned_blocks,
          "what a tenant holds is counted right");
  }
}

void PrefixTree::CheckBlocks(const Counts& counts) const {
  size_t free = 0;
  size_t only_private = 0;
  for (const PrefixNode& node : nodes_) {
    const bool cached = node.state != NodeState::kUnused;
    const bool referenced = pool_->references(node.block) > 0;
    CHECK(referenced || !cached, "the tree references the blocks that it owns");
    CHECK(cached || (node.parent == nullptr && node.root == nullptr && node.children.empty() &&
                     !node.pinned() && node.token_count == 0 && !node.evictable),
          "an unused node is empty");
    free += !referenced;
    only_private += referenced && !cached;
  }
  CHECK(free == pool_->free_blocks(), "the pool knows what is free");
  CHECK(counts.cached == cached_blocks_, "cached blocks are counted right");
  CHECK(free + counts.cached + only_private == pool_->block_count(),
        "every block is free, cached or private");
}

void PrefixTree::Check() const {
  Counts counts;
  for (const PrefixNode& node : nodes_) {
    for (const Hold hold : kHolds)
      if (node.state != NodeState::kUnused && node.pinned(hold))
        ++counts.pinned_children[static_cast<size_t>(hold)][node.parent];
  }

  size_t superseded = 0;
  for (const PrefixNode& node : nodes_) {
    if (node.state == NodeState::kUnused) continue;
    superseded += node.state == NodeState::kSuperseded;
    CheckNode(node, counts);
  }

  std::vector<const PrefixNode*> unvisited;
  for (const auto& [scope, root] : roots_) {
    CHECK(root.scope == scope && root.is_root() && root.root == &root && root.depth == 0 &&
              root.tenant == FindTenant(TenantOf(scope)),
          "a root stands for its scope");
    ++counts.tenants[TenantOf(scope)].scopes;
    CheckNode(root, counts);
    unvisited.push_back(&root);
  }
  while (!unvisited.empty()) {
    const PrefixNode* node = unvisited.back();
    unvisited.pop_back();
    counts.attached += !node->is_root();
    counts.tokens += node->token_count;
    CheckChildren(*node);
    unvisited.insert(unvisited.end(), node->children.begin(), node->children.end());
  }

  CHECK(counts.attached + superseded == counts.cached, "what is attached is reached from its root");
  CHECK(counts.tokens == cached_tokens_, "cached tokens are counted right");
  CHECK(counts.pinned == pinned_blocks_ && counts.pinned_by == pinned_by_,
        "pinned blocks are counted right");
  CHECK(counts.evictable == evictable_.size(), "the eviction order holds what is evictable");
  CHECK(counts.holds == holds_, "holds are counted right");
  CheckTenants(counts);
  CheckBlocks(counts);
}

}  // namespace reprise::internal

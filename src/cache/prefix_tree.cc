#include "cache/prefix_tree.h"

#include <algorithm>

#include "base/check.h"
#include "base/common_tokens.h"
#include "cache/path_hash.h"
#include "cache/scope.h"

namespace reprise::internal {
PrefixTree::PrefixTree(BlockPool* pool, const Clock* clock, int block_tokens)
    : pool_(pool),
      clock_(clock),
      block_tokens_(static_cast<size_t>(block_tokens)),
      nodes_(pool->block_count()),
      tokens_(pool->block_count() * block_tokens_) {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].block = BlockId{static_cast<uint32_t>(i)};
    nodes_[i].tokens = &tokens_[i * block_tokens_];
  }
}

PrefixTree::~PrefixTree() {
  CHECK(holds(Hold::kLease) == 0, "no lease outlives its cache");
  CHECK(holds(Hold::kPromise) == 0, "promises end before the tree");
  listener_ = nullptr;
  while (PrefixNode* oldest = Oldest()) Evict(oldest);
}

PrefixNode* PrefixTree::FindRoot(std::string_view scope) {
  const auto root = roots_.find(scope);
  return root == roots_.end() ? nullptr : &root->second;
}

PrefixNode* PrefixTree::FindOrAddRoot(std::string_view scope) {
  if (PrefixNode* root = FindRoot(scope)) return root;
  const auto root = roots_.emplace(scope, PrefixRoot{}).first;
  root->second.scope = root->first;
  root->second.root = &root->second;
  root->second.path_hash = ScopePathHash(scope);
  const std::string name = TenantOf(scope);
  TenantSizes& tenant = tenants_[name];
  tenant.tenant = name;
  ++tenant.scopes;
  root->second.tenant = &tenant;
  return &root->second;
}

const TenantSizes* PrefixTree::FindTenant(std::string_view tenant) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? nullptr : &found->second;
}

void PrefixTree::CountRead(PrefixNode* node) {
  for (; !node->is_root(); node = node->parent) ++node->reads;
}

PrefixTree::Children::const_iterator PrefixTree::LowerBound(const PrefixNode* parent,
                                                            Tokens tokens) const {
  return std::ranges::lower_bound(
      parent->children, tokens,
      [](Tokens a, Tokens b) { return std::ranges::lexicographical_compare(a, b); },
      &PrefixNode::Tokens);
}

PrefixTree::Neighbour PrefixTree::FindNearest(const PrefixNode* parent, Tokens rest) const {
  rest = rest.first(std::min(rest.size(), block_tokens_));
  // In lexicographic order, what shares most with `rest` stands next to where `rest` would.
  const auto above = LowerBound(parent, rest);
  Neighbour nearest;
  if (above != parent->children.begin()) {
    PrefixNode* below = *(above - 1);
    const size_t common = CommonTokens(below->Tokens(), rest);
    if (common > 0) nearest = {below, common};
  }
  if (above != parent->children.end()) {
    const size_t common = CommonTokens((*above)->Tokens(), rest);
    if (common > nearest.common) nearest = {*above, common};
  }
  return nearest;
}

const PrefixNode* PrefixTree::FindBeyond(const PrefixNode* parent, Tokens rest) const {
  // Those that begin with `rest` stand together, the first where it would.
  constexpr std::ptrdiff_t kLookedAt = 64;
  rest = rest.first(std::min(rest.size(), block_tokens_));
  const PrefixNode* latest = nullptr;
  const auto first = LowerBound(parent, rest);
  const auto end = first + std::min(kLookedAt, parent->children.end() - first);
  for (auto child = first; child != end; ++child) {
    const PrefixNode* node = *child;
    if (CommonTokens(node->Tokens(), rest) < rest.size()) break;
    if (node->token_count == rest.size() && rest.size() < block_tokens_) continue;
    if (latest == nullptr || node->last_tick > latest->last_tick) latest = node;
  }
  return latest;
}

size_t PrefixTree::CommonWithBrothers(const PrefixNode* node) const {
  const Children& children = node->parent->children;
  const auto place = LowerBound(node->parent, node->Tokens());
  size_t common = 0;
  if (place != children.begin()) common = CommonTokens((*(place - 1))->Tokens(), node->Tokens());
  if (place + 1 != children.end()) {
    common = std::max(common, CommonTokens((*(place + 1))->Tokens(), node->Tokens()));
  }
  return common;
}

PrefixNode* PrefixTree::NodeOf(BlockId block) {
  CHECK(block.value < nodes_.size(), "a block id is an index into the pool");
  PrefixNode* node = &nodes_[block.value];
  return node->state == NodeState::kUnused ? nullptr : node;
}

void PrefixTree::Pin(PrefixNode* node, Hold hold) {
  const auto kind = static_cast<size_t>(hold);
  ++holds_[kind];
  ++node->held(hold).own;
  for (; node != nullptr; node = node->parent) {
    const bool was_pinned = node->pinned();
    if (node->held(hold).pins++ > 0) return;
    if (node->is_root()) return;
    ++pinned_by_[kind];
    if (hold == Hold::kPromise) ++node->root->tenant->pinned_blocks;
    if (was_pinned) continue;
    ++pinned_blocks_;
    RemoveEvictable(node);
  }
}

void PrefixTree::Unpin(PrefixNode* node, Hold hold) {
  CHECK(node->held(hold).own > 0, "what is held is let go once");
  const auto kind = static_cast<size_t>(hold);
  --holds_[kind];
  --node->held(hold).own;
  while (--node->held(hold).pins == 0) {
    PrefixNode* parent = node->parent;
    if (node->is_root()) {
      if (node->children.empty() && !node->pinned()) DropRoot(node);
      return;
    }
    --pinned_by_[kind];
    if (hold == Hold::kPromise) --node->root->tenant->pinned_blocks;
    if (!node->pinned()) {
      --pinned_blocks_;
      if (node->state == NodeState::kSuperseded) {
        Free(node);
      } else if (node->children.empty()) {
        AddEvictable(node);
      }
    }
    node = parent;
  }
}

void PrefixTree::Touch(PrefixNode* node) {
  ++tick_;
  const TimePoint now = Now();
  for (; node != nullptr; node = node->parent) {
    const bool evictable = node->evictable;
    if (evictable) RemoveEvictable(node);
    node->last_tick = tick_;
    node->last_use = now;
    if (evictable) AddEvictable(node);
  }
}

PrefixNode* PrefixTree::Attach(PrefixNode* parent, Tokens tokens, BlockId block) {
  PrefixNode* node = &nodes_[block.value];
  CHECK(node->state != NodeState::kAttached, "a block stands in one place of the tree");
  CHECK(parent->is_root() || parent->pinned(Hold::kLease), "what is built upon is leased");
  if (node->state == NodeState::kUnused) {
    pool_->Reference(block);
    ++cached_blocks_;
    node->parent = parent;
    node->root = parent->root;
    node->depth = parent->depth + 1;
    ++node->root->tenant->cached_blocks;
  }
  CHECK(node->parent == parent, "a block's published tokens never change");
  node->state = NodeState::kAttached;
  parent->children.insert(LowerBound(parent, tokens), node);
  SetTokens(node, tokens);
  CountTokens(*node, static_cast<std::ptrdiff_t>(node->token_count));
  if (listener_ != nullptr && full(*node)) TellStored(*listener_, *node);
  return node;
}

void PrefixTree::Grow(PrefixNode* node, Tokens tokens) {
  CHECK(node->state == NodeState::kAttached, "only what is in the tree grows");
  CountTokens(*node, std::ssize(tokens) - static_cast<std::ptrdiff_t>(node->token_count));
  const bool was_full = full(*node);
  SetTokens(node, tokens);
  if (listener_ != nullptr && !was_full && full(*node)) TellStored(*listener_, *node);
}

void PrefixTree::TellStored(BlockListener& listener, const PrefixNode& node) const {
  std::optional<BlockId> parent;
  if (!node.parent->is_root()) parent = node.parent->block;
  listener.OnStored(node.root->scope, parent, node.block, node.Tokens());
}

void PrefixTree::TellFullBlocks(BlockListener& listener) const {
  std::vector<const PrefixNode*> waiting;
  for (const auto& [scope, root] : roots_) {
    waiting.assign(root.children.begin(), root.children.end());
    while (!waiting.empty()) {
      const PrefixNode* node = waiting.back();
      waiting.pop_back();
      if (!full(*node)) continue;
      TellStored(listener, *node);
      waiting.insert(waiting.end(), node->children.begin(), node->children.end());
    }
  }
}

// What Match can find of the node's scope has become more or less.
void PrefixTree::CountTokens(const PrefixNode& node, std::ptrdiff_t change) {
  cached_tokens_ += static_cast<size_t>(change);
  node.root->tenant->cached_tokens += static_cast<size_t>(change);
}

void PrefixTree::SetTokens(PrefixNode* node, Tokens tokens) {
  CHECK(!tokens.empty() && tokens.size() <= block_tokens_, "a node holds 1..block_tokens tokens");
  CHECK(tokens.size() >= node->token_count &&
            std::ranges::equal(node->Tokens(), tokens.first(node->token_count)),
        "a block's published tokens never change");
  std::ranges::copy(tokens, &tokens_[node->block.value * block_tokens_]);
  const bool was_full = node->token_count == block_tokens_;
  node->token_count = static_cast<uint32_t>(tokens.size());
  if (!was_full && tokens.size() == block_tokens_)
    node->path_hash = ExtendPathHash(node->parent->path_hash, tokens);
}

void PrefixTree::Supersede(PrefixNode* leaf) {
  CHECK(!leaf->pinned(Hold::kPromise), "a promise moves on to what supersedes its node");
  Detach(leaf);
  leaf->state = NodeState::kSuperseded;
  if (!leaf->pinned()) Free(leaf);
}

PrefixNode* PrefixTree::Oldest() const {
  return evictable_.empty() ? nullptr : evictable_.begin()->second;
}

void PrefixTree::Evict(PrefixNode* leaf) {
  CHECK(leaf->evictable, "what is evicted is a leaf that nothing holds");
  PrefixNode* parent = leaf->parent;
  Detach(leaf);
  Free(leaf);
  AfterLosingChild(parent);
}

// Out of its parent's children and out of the eviction order.
void PrefixTree::Detach(PrefixNode* leaf) {
  CHECK(leaf->state == NodeState::kAttached && leaf->children.empty(), "only leaves are taken out");
  RemoveEvictable(leaf);
  const auto place = LowerBound(leaf->parent, leaf->Tokens());
  CHECK(place != leaf->parent->children.end() && *place == leaf, "children are in order");
  leaf->parent->children.erase(place);
  if (listener_ != nullptr && full(*leaf)) listener_->OnRemoved(leaf->block);
  CountTokens(*leaf, -static_cast<std::ptrdiff_t>(leaf->token_count));
}

// Gives back the block of a node that is detached already.
void PrefixTree::Free(PrefixNode* leaf) {
  CHECK(!leaf->pinned(), "what is held is not freed");
  CHECK(leaf->state == NodeState::kSuperseded || pool_->references(leaf->block) == 1,
        "a sequence that references a cached block holds a lease on it");
  --leaf->root->tenant->cached_blocks;
  leaf->state = NodeState::kUnused;
  leaf->parent = nullptr;
  leaf->root = nullptr;
  leaf->token_count = 0;
  leaf->reads = 0;
  --cached_blocks_;
  pool_->Release(leaf->block);
}

void PrefixTree::AddEvictable(PrefixNode* node) {
  CHECK(evictable_.emplace(node->last_tick, node).second, "a node is evictable once");
  node->evictable = true;
}

void PrefixTree::RemoveEvictable(PrefixNode* node) {
  if (!node->evictable) return;
  evictable_.erase({node->last_tick, node});
  node->evictable = false;
}

// The parent has lost a child: it may be a leaf now, or a root of nothing.
void PrefixTree::AfterLosingChild(PrefixNode* parent) {
  if (!parent->children.empty() || parent->pinned()) return;
  if (parent->is_root()) {
    DropRoot(parent);
  } else {
    AddEvictable(parent);
  }
}

void PrefixTree::DropRoot(PrefixNode* root) {
  TenantSizes* tenant = root->root->tenant;
  roots_.erase(roots_.find(root->root->scope));
  if (--tenant->scopes == 0) tenants_.erase(tenants_.find(tenant->tenant));
}

}  // namespace reprise::internal

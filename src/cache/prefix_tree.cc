#include "cache/prefix_tree.h"

#include <algorithm>

#include "base/check.h"

namespace reprise::internal {
namespace {

size_t CommonPrefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

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
  CHECK(leases_ == 0, "no lease outlives its cache");
  while (Oldest() != nullptr) EvictOldest();
}

PrefixNode* PrefixTree::FindRoot(std::string_view scope) {
  const auto root = roots_.find(scope);
  return root == roots_.end() ? nullptr : &root->second;
}

PrefixNode* PrefixTree::FindOrAddRoot(std::string_view scope) {
  if (PrefixNode* root = FindRoot(scope)) return root;
  const auto root = roots_.emplace(scope, PrefixRoot{}).first;
  root->second.scope = root->first;
  return &root->second;
}

std::string_view PrefixTree::ScopeOf(const PrefixNode* node) const {
  while (!node->is_root()) node = node->parent;
  return static_cast<const PrefixRoot*>(node)->scope;
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
    const size_t common = CommonPrefix(below->Tokens(), rest);
    if (common > 0) nearest = {below, common};
  }
  if (above != parent->children.end()) {
    const size_t common = CommonPrefix((*above)->Tokens(), rest);
    if (common > nearest.common) nearest = {*above, common};
  }
  return nearest;
}

PrefixNode* PrefixTree::NodeOf(BlockId block) {
  CHECK(block.value < nodes_.size(), "a block id is an index into the pool");
  PrefixNode* node = &nodes_[block.value];
  return node->state == NodeState::kUnused ? nullptr : node;
}

void PrefixTree::Pin(PrefixNode* node) {
  ++leases_;
  ++node->leases;
  for (; node != nullptr && node->pins++ == 0; node = node->parent) {
    if (node->is_root()) continue;
    ++leased_blocks_;
    RemoveEvictable(node);
  }
}

void PrefixTree::Unpin(PrefixNode* node) {
  CHECK(node->leases > 0, "a lease is released once");
  --leases_;
  --node->leases;
  while (node != nullptr && --node->pins == 0) {
    PrefixNode* parent = node->parent;
    if (node->is_root()) {
      if (node->children.empty()) DropRoot(node);
      return;
    }
    --leased_blocks_;
    if (node->state == NodeState::kSuperseded) {
      Free(node);
    } else if (node->children.empty()) {
      AddEvictable(node);
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
  CHECK(parent->is_root() || parent->pins > 0, "what is built upon is leased");
  if (node->state == NodeState::kUnused) {
    pool_->Reference(block);
    ++cached_blocks_;
    node->parent = parent;
    node->depth = parent->depth + 1;
  }
  CHECK(node->parent == parent, "a block's published tokens never change");
  node->state = NodeState::kAttached;
  parent->children.insert(LowerBound(parent, tokens), node);
  SetTokens(node, tokens);
  cached_tokens_ += node->token_count;
  return node;
}

void PrefixTree::Grow(PrefixNode* node, Tokens tokens) {
  CHECK(node->state == NodeState::kAttached, "only what is in the tree grows");
  cached_tokens_ += tokens.size() - node->token_count;
  SetTokens(node, tokens);
}

void PrefixTree::SetTokens(PrefixNode* node, Tokens tokens) {
  CHECK(!tokens.empty() && tokens.size() <= block_tokens_, "a node holds 1..block_tokens tokens");
  CHECK(tokens.size() >= node->token_count &&
            std::ranges::equal(node->Tokens(), tokens.first(node->token_count)),
        "a block's published tokens never change");
  std::ranges::copy(tokens, &tokens_[node->block.value * block_tokens_]);
  node->token_count = static_cast<uint32_t>(tokens.size());
}

void PrefixTree::Supersede(PrefixNode* leaf) {
  Detach(leaf);
  leaf->state = NodeState::kSuperseded;
  if (leaf->pins == 0) Free(leaf);
}

const PrefixNode* PrefixTree::Oldest() const {
  return evictable_.empty() ? nullptr : evictable_.begin()->second;
}

void PrefixTree::EvictOldest() {
  CHECK(!evictable_.empty(), "there is something to evict");
  PrefixNode* leaf = evictable_.begin()->second;
  PrefixNode* parent = leaf->parent;
  Detach(leaf);
  Free(leaf);
  SettleWithoutChild(parent);
}

// Out of its parent's children and out of the eviction order.
void PrefixTree::Detach(PrefixNode* leaf) {
  CHECK(leaf->state == NodeState::kAttached && leaf->children.empty(), "only leaves are taken out");
  RemoveEvictable(leaf);
  const auto place = LowerBound(leaf->parent, leaf->Tokens());
  CHECK(place != leaf->parent->children.end() && *place == leaf, "children are in order");
  leaf->parent->children.erase(place);
  cached_tokens_ -= leaf->token_count;
}

// Gives back the block of a node that is detached already.
void PrefixTree::Free(PrefixNode* leaf) {
  CHECK(leaf->pins == 0, "what a lease holds is not freed");
  CHECK(leaf->state == NodeState::kSuperseded || pool_->references(leaf->block) == 1,
        "a sequence that references a cached block holds a lease on it");
  leaf->state = NodeState::kUnused;
  leaf->parent = nullptr;
  leaf->token_count = 0;
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
void PrefixTree::SettleWithoutChild(PrefixNode* parent) {
  if (!parent->children.empty() || parent->pins > 0) return;
  if (parent->is_root()) {
    DropRoot(parent);
  } else {
    AddEvictable(parent);
  }
}

void PrefixTree::DropRoot(PrefixNode* root) {
  roots_.erase(roots_.find(static_cast<PrefixRoot*>(root)->scope));
}

}  // namespace reprise::internal

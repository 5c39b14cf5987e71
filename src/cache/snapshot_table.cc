#include "cache/snapshot_table.h"

#include <algorithm>

#include "base/check.h"

namespace reprise::internal {

bool SnapshotTable::ByTokens::operator()(Tokens a, Tokens b) const {
  return std::ranges::lexicographical_compare(a, b);
}

SnapshotTable::~SnapshotTable() { CHECK(pinned() == 0, "promises end before the snapshots"); }

Snapshot* SnapshotTable::Find(const PrefixNode* parent, Tokens tokens) {
  const auto brothers = snapshots_.find(parent);
  if (brothers == snapshots_.end()) return nullptr;
  const auto found = brothers->second.find(tokens);
  return found == brothers->second.end() ? nullptr : &found->second;
}

Snapshot* SnapshotTable::FindDeepest(const PrefixNode* parent, Tokens tokens) {
  const auto brothers = snapshots_.find(parent);
  if (brothers == snapshots_.end()) return nullptr;
  for (size_t length = std::min(tokens.size(), tree_->block_tokens()); length > 0; --length) {
    const auto found = brothers->second.find(tokens.first(length));
    if (found != brothers->second.end()) return &found->second;
  }
  return nullptr;
}

Snapshot* SnapshotTable::FindOnPath(const PrefixNode* deepest, Tokens tokens) {
  if (size_ == 0) return nullptr;
  for (const PrefixNode* node = deepest; node != nullptr; node = node->parent) {
    Snapshot* found = FindDeepest(node, tokens.subspan(node->depth * tree_->block_tokens()));
    if (found != nullptr) return found;
  }
  return nullptr;
}

Snapshot* SnapshotTable::Add(PrefixNode* parent, Tokens tokens, StateReference state) {
  std::vector<TokenId> key(tokens.begin(), tokens.end());
  Snapshot snapshot = {parent, key, std::move(state), 0, ++tick_};
  const auto [added, is_new] = snapshots_[parent].emplace(std::move(key), std::move(snapshot));
  CHECK(is_new, "there is one snapshot behind a prefix");
  CHECK(Covered(added->second), "a snapshot's tokens are cached");
  evictable_.emplace(added->second.last_tick, &added->second);
  ++size_;
  ++kept_;
  ++parent->root->tenant->snapshots;
  return &added->second;
}

void SnapshotTable::Touch(Snapshot* snapshot) {
  const bool evictable = evictable_.erase({snapshot->last_tick, snapshot}) > 0;
  snapshot->last_tick = ++tick_;
  if (evictable) evictable_.emplace(snapshot->last_tick, snapshot);
}

void SnapshotTable::Pin(Snapshot* snapshot) {
  if (snapshot->pins++ == 0) evictable_.erase({snapshot->last_tick, snapshot});
}

void SnapshotTable::Unpin(Snapshot* snapshot) {
  CHECK(snapshot->pins > 0, "a snapshot is let go once for each pin");
  if (--snapshot->pins > 0) return;
  evictable_.emplace(snapshot->last_tick, snapshot);
  if (!Covered(*snapshot)) Drop(snapshot);
}

StateReference SnapshotTable::Allocate(BlockPool::Payload payload) {
  for (;;) {
    if (const auto block = arena_->TryAllocate(payload)) return {arena_, *block};
    if (evictable_.empty()) return {};
    // One whose state somebody is about to copy frees nothing: on to the next.
    Drop(evictable_.begin()->second);
    ++evicted_;
  }
}

bool SnapshotTable::Covered(const Snapshot& snapshot) const {
  return tree_->FindNearest(snapshot.parent, snapshot.tokens).common == snapshot.tokens.size();
}

void SnapshotTable::Drop(Snapshot* snapshot) {
  evictable_.erase({snapshot->last_tick, snapshot});
  --size_;
  --snapshot->parent->root->tenant->snapshots;
  const auto brothers = snapshots_.find(snapshot->parent);
  brothers->second.erase(brothers->second.find(snapshot->tokens));
  if (brothers->second.empty()) snapshots_.erase(brothers);
}

void SnapshotTable::LoseChild(const PrefixNode* leaf) {
  const auto brothers = snapshots_.find(leaf->parent);
  if (brothers == snapshots_.end()) return;
  const size_t covered = tree_->CommonWithBrothers(leaf);
  std::vector<Snapshot*> lost;
  for (size_t length = covered + 1; length <= leaf->token_count; ++length) {
    const auto found = brothers->second.find(leaf->Tokens().first(length));
    if (found != brothers->second.end() && found->second.pins == 0) lost.push_back(&found->second);
  }
  for (Snapshot* snapshot : lost) Drop(snapshot);
}

void SnapshotTable::DropUnpinned() {
  while (!evictable_.empty()) Drop(evictable_.begin()->second);
}

void SnapshotTable::Check() const {
  size_t counted = 0;
  size_t pinned_ones = 0;
  for (const auto& [parent, brothers] : snapshots_) {
    CHECK(!brothers.empty(), "a parent without snapshots is forgotten");
    for (const auto& [tokens, snapshot] : brothers) {
      CHECK(snapshot.parent == parent && snapshot.tokens == tokens, "a snapshot knows its place");
      CHECK(!tokens.empty() && tokens.size() <= tree_->block_tokens(),
            "a snapshot stands 1..block_tokens tokens behind its parent");
      CHECK(parent->is_root() || parent->state == NodeState::kAttached,
            "a snapshot's parent is in the tree");
      CHECK(snapshot.pins > 0 || Covered(snapshot), "a snapshot's tokens are cached");
      CHECK(evictable_.contains({snapshot.last_tick, const_cast<Snapshot*>(&snapshot)}) ==
                (snapshot.pins == 0),
            "evictable are the snapshots that nothing pins");
      pinned_ones += snapshot.pins > 0;
      ++counted;
    }
  }
  CHECK(counted == size_ && pinned_ones == pinned(), "snapshots are counted right");
  size_t of_tenants = 0;
  tree_->ForEachTenant([&](const TenantSizes& tenant) { of_tenants += tenant.snapshots; });
  CHECK(of_tenants == size_, "every snapshot is a tenant's");
}

}  // namespace reprise::internal

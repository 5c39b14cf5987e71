// The verbs of PrefixCache that are about recurrent states.

#include <utility>

#include "base/check.h"
#include "cache/prefix_cache.h"
#include "cache/prefix_tree.h"
#include "cache/promise_table.h"
#include "cache/snapshot_table.h"

namespace reprise {

using internal::PrefixNode;
using internal::Snapshot;
using Payload = BlockPool::Payload;

StateReference PrefixCache::TakeState(StateReference snapshot) {
  CHECK(snapshots_ != nullptr, "states belong to models with recurrent layers");
  if (snapshots_->working() >= options_.working_states) return {};
  if (snapshot.empty()) return snapshots_->Allocate(Payload::kZeroed);
  StateReference own = snapshots_->Allocate(Payload::kUndefined);
  if (!own.empty()) {
    own.CopyFrom(snapshot);
    return own;
  }
  // All others are held: the snapshot went for room, and is nobody else's.
  CHECK(snapshot.alone(), "there is a state for each sequence that may have one");
  return snapshot;
}

void PrefixCache::PublishState(std::string_view scope, std::span<const TokenId> tokens,
                               const Lease& lease, StateReference& state, StateUse use,
                               Reservation& reservation) {
  CHECK(snapshots_ != nullptr, "states belong to models with recurrent layers");
  CHECK(!tokens.empty(), "a state of no tokens is zeros");
  const size_t first = (tokens.size() - 1) / tree_->block_tokens() * tree_->block_tokens();
  PrefixNode* parent = ParentFor(scope, tokens, first, lease);
  const auto own_tokens = tokens.subspan(first);
  Snapshot* snapshot = snapshots_->Find(parent, own_tokens);
  if (snapshot != nullptr) {
    snapshots_->Touch(snapshot);
  } else if (tree_->FindNearest(parent, own_tokens).common < own_tokens.size()) {
    if (use == StateUse::kGive) state = StateReference();
    return;  // the tail went meanwhile
  } else {
    StateReference kept;
    if (use == StateUse::kGive) {
      kept = std::move(state);
    } else {
      kept = snapshots_->Allocate(Payload::kUndefined);
      if (kept.empty()) return book_->Keep(reservation, tokens.size(), nullptr);
      kept.CopyFrom(state);
    }
    snapshot = snapshots_->Add(parent, own_tokens, std::move(kept));
  }
  if (use == StateUse::kGive) state = StateReference();
  book_->Keep(reservation, tokens.size(), snapshot);
}

Lease PrefixCache::Hold(std::string_view scope, std::span<const TokenId> tokens) {
  PrefixNode* deepest = tree_->FindRoot(scope);
  if (deepest == nullptr) return {};
  tree_->Descend(deepest, tokens, [&](PrefixNode* node) { deepest = node; });
  return deepest->is_root() ? Lease() : Lease(tree_.get(), deepest);
}

bool PrefixCache::TouchSnapshot(std::string_view scope, std::span<const TokenId> tokens) {
  CHECK(snapshots_ != nullptr, "states belong to models with recurrent layers");
  const PrefixNode* deepest = tree_->FindRoot(scope);
  if (deepest == nullptr || tokens.empty()) return false;
  const size_t first = (tokens.size() - 1) / tree_->block_tokens() * tree_->block_tokens();
  tree_->Descend(deepest, tokens.first(first), [&](const PrefixNode* node) { deepest = node; });
  if (deepest->depth * tree_->block_tokens() < first) return false;
  Snapshot* snapshot = snapshots_->Find(deepest, tokens.subspan(first));
  if (snapshot == nullptr) return false;
  snapshots_->Touch(snapshot);
  return true;
}

}  // namespace reprise

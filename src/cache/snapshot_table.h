#pragma once

// Snapshots: recurrent states behind cached prefixes, for models whose layers keep one state of
// fixed size instead of K and V for each token. Not included outside this folder. Owned by the
// engine thread. Models without states have no such table.
//
// A snapshot is (parent, tokens), like a promise: the node above, and the 1..block_tokens tokens
// that lead from there to the position behind which the state stands. Its bytes depend on all
// tokens before it, and on nothing else.
//
//   parent ── [a b c d]   snapshots (parent, "ab"), (parent, "abcd")
//         └── [a b x]     a prompt "aby…" is read up to (parent, "ab"), by way of either
//
// LAW: some child of its parent begins with a snapshot's tokens, so that K and V up to it are
// cached too. When the last such child goes, the snapshot goes; only one that is pinned stays
// without: a reservation holds it for a breakpoint, and the parent, and its sequence is about to
// publish the child anew.
//
// Snapshots without pins are evicted, the one whose last use is longest ago first, when the arena
// is full. Blocks stay.

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cache/block_pool.h"
#include "cache/prefix_tree.h"
#include "cache/state_reference.h"

namespace reprise::internal {

struct Snapshot {
  PrefixNode* parent = nullptr;
  std::vector<TokenId> tokens;  // behind the parent's
  StateReference state;
  uint32_t pins = 0;  // by promises and reservations
  uint64_t last_tick = 0;
};

class SnapshotTable {
 public:
  using Tokens = std::span<const TokenId>;

  SnapshotTable(PrefixTree* tree, BlockPool* arena) : tree_(tree), arena_(arena) {}
  ~SnapshotTable();  // REQUIRES: nothing is pinned
  SnapshotTable(const SnapshotTable&) = delete;
  SnapshotTable& operator=(const SnapshotTable&) = delete;

  Snapshot* Find(const PrefixNode* parent, Tokens tokens);
  // The one behind most of `tokens`, of which the first block_tokens count; nullptr: there is none.
  Snapshot* FindDeepest(const PrefixNode* parent, Tokens tokens);

  // The deepest behind `tokens` or fewer, of which all up to `deepest` and those behind it are in
  // the tree; nullptr: there is none.
  Snapshot* FindOnPath(const PrefixNode* deepest, Tokens tokens);
  // How many tokens lie before its state.
  size_t TokensBefore(const Snapshot& snapshot) const {
    return snapshot.parent->depth * tree_->block_tokens() + snapshot.tokens.size();
  }

  // REQUIRES: there is none yet, and a child of `parent` begins with `tokens`.
  Snapshot* Add(PrefixNode* parent, Tokens tokens, StateReference state);
  void Touch(Snapshot* snapshot);
  void Pin(Snapshot* snapshot);
  void Unpin(Snapshot* snapshot);  // may drop it

  // A state of the caller's own, evicting if need be; empty if everything is held.
  StateReference Allocate(BlockPool::Payload payload);

  // `leaf` is about to be taken out of its parent's children.
  void LoseChild(const PrefixNode* leaf);
  void DropUnpinned();

  size_t size() const { return size_; }
  size_t pinned() const { return size_ - evictable_.size(); }
  // States in the hands of sequences.
  size_t working() const { return arena_->block_count() - arena_->free_blocks() - size_; }
  size_t total() const { return arena_->block_count(); }
  uint64_t kept() const { return kept_; }
  uint64_t evicted() const { return evicted_; }

  void Check() const;

 private:
  struct ByTokens {
    using is_transparent = void;
    bool operator()(Tokens a, Tokens b) const;
  };
  using Brothers = std::map<std::vector<TokenId>, Snapshot, ByTokens>;  // of one parent

  bool Covered(const Snapshot& snapshot) const;
  void Drop(Snapshot* snapshot);

  PrefixTree* tree_;
  BlockPool* arena_;
  std::unordered_map<const PrefixNode*, Brothers> snapshots_;  // by parent; no empty ones
  std::set<std::pair<uint64_t, Snapshot*>> evictable_;         // by last_tick
  size_t size_ = 0;
  uint64_t tick_ = 0;
  uint64_t kept_ = 0;
  uint64_t evicted_ = 0;
};

}  // namespace reprise::internal

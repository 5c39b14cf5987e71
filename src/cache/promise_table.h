#pragma once

// Which prefixes are promised to be kept, until when, and which node keeps each. Not included
// outside this folder. Owned by the engine thread.
//
// A promise is (parent, tokens): the node above, and the 1..block_tokens tokens that lead from
// there to the breakpoint. Its holder is one child of that parent that begins with these tokens; it
// holds the whole node, wherever inside the breakpoint stands, and so the path above. When a longer
// node supersedes the holder, it takes over. Two requests that mark the same prefix mean the same
// promise; it lives to the later of both ends.
//
//   parent ── [a b c d]   either may hold (parent, "ab"); the first that did goes on doing so
//         └── [a b x]
//
// Breakpoints that are not computed yet are a reservation's. It holds the deepest full node of its
// path, moves down as nodes are published, and counts the blocks that are still missing up to its
// last breakpoint. Thus, always,
//
//   pinned for promises (promises and reservations, each node once) + reserved ≤ capacity
//
// in all and for each tenant, and what was accepted never fails for want of room.
//
// Of models with recurrent states each promise also pins the snapshot behind its tokens, and each
// pending breakpoint reserves one (or pins it, where it was kept before the block is full):
//
//   promises + pending breakpoints ≤ capacity in snapshots

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cache/breakpoint.h"
#include "cache/prefix_tree.h"
#include "cache/snapshot_table.h"

namespace reprise {
class Reservation;
}

namespace reprise::internal {

class PromiseTable {
 public:
  using Tokens = std::span<const TokenId>;

  struct Shares {  // what promises may hold
    size_t all = 0;
    size_t per_tenant = 0;  // of that
  };

  // `snapshots` is nullptr for models without states.
  PromiseTable(PrefixTree* tree, SnapshotTable* snapshots, Shares blocks, Shares states);
  ~PromiseTable();  // ends all promises. REQUIRES: no reservation is left
  PromiseTable(const PromiseTable&) = delete;
  PromiseTable& operator=(const PromiseTable&) = delete;

  // See PrefixCache::Promise, Fulfil and Renew.
  std::vector<BreakpointOutcome> Accept(std::string_view scope, Tokens prompt,
                                        std::span<const Breakpoint> breakpoints, TimePoint start,
                                        Reservation& reservation, size_t read);
  // The snapshot behind that many tokens of the reservation's prompt: pinned if a breakpoint there
  // is pending. nullptr: there was no room, so REQUIRES: none is.
  void Keep(Reservation& reservation, size_t tokens, Snapshot* snapshot);
  void Fulfil(Reservation& reservation, Tokens published);
  void GiveUpBehind(Reservation& reservation, size_t tokens);  // breakpoints behind `tokens`
  void GiveUp(Reservation& reservation);
  void Renew(std::string_view scope, Tokens prompt, TimePoint start);

  // `to` begins with all tokens of its brother `from`: it keeps what `from` kept.
  void Move(PrefixNode* from, PrefixNode* to);

  // Calls visit(holder, tokens up to the breakpoint, ttl, end) for each promise.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [expires, promise] : by_expiry_) {
      const size_t before = promise->parent->depth * tree_->block_tokens();
      visit(promise->holder, before + promise->tokens.size(), promise->ttl, expires);
    }
  }

  size_t EndExpired(TimePoint now);  // returns promises ended
  template <typename Choose>
  void EndThose(Choose choose);  // of whose holder choose(node) says so
  void EndAll();
  std::optional<TimePoint> next_expiry() const;  // of a promise

  size_t capacity() const { return blocks_.all; }
  size_t capacity_per_tenant() const { return std::min(blocks_.all, blocks_.per_tenant); }
  size_t reserved_blocks() const { return reserved_blocks_; }
  size_t reserved_snapshots() const { return reserved_snapshots_; }
  size_t promises() const { return by_expiry_.size(); }
  // Promises of at most five minutes, of at most an hour, of more.
  const std::array<size_t, 3>& promises_by_class() const { return by_class_; }
  uint64_t made() const { return made_; }
  uint64_t refused() const { return refused_; }

  void Check() const;

 private:
  struct Promise {
    PrefixNode* parent = nullptr;
    std::vector<TokenId> tokens;  // behind the parent's
    PrefixNode* holder = nullptr;
    Duration ttl{};
    TimePoint expires;
    Snapshot* snapshot = nullptr;  // pinned; none for models without states
  };
  struct ByTokens {
    using is_transparent = void;
    bool operator()(Tokens a, Tokens b) const;
  };
  using Brothers = std::map<std::vector<TokenId>, Promise, ByTokens>;  // promises of one parent

  // Where a prompt leads to: full nodes of its path, the root first; then what it shares with one
  // more node.
  struct Path {
    std::vector<PrefixNode*> nodes;  // empty: the scope is unknown
    PrefixTree::Neighbour partial;
    void Shorten(size_t tokens, size_t block_tokens);  // to that many or fewer
    size_t depth() const { return nodes.empty() ? 0 : nodes.size() - 1; }
  };

  size_t BlocksFor(size_t tokens) const;
  PinDecision AcceptOne(std::string_view scope, Tokens prompt, const Breakpoint& breakpoint,
                        Path& path, Reservation& reservation);
  // Blocks that the breakpoint would hold beyond what is held and reserved.
  size_t Cost(Tokens prompt, const Breakpoint& breakpoint, const Path& path,
              const Reservation& reservation) const;
  // Whether `cost` more blocks fit, and a snapshot if one is needed.
  PinDecision Decide(size_t cost, bool needs_snapshot, std::string_view scope) const;
  bool Exists(const PrefixNode* parent, Tokens tokens) const;
  void Make(PrefixNode* parent, Tokens tokens, PrefixNode* holder, const Breakpoint& breakpoint,
            TimePoint start);
  void Prolong(Promise& promise, Duration ttl, TimePoint start);
  void End(Promise& promise);
  // Calls visit(promise) for those of `parent` that end within the prefix `tokens`.
  template <typename Visit>
  void ForEachWithin(const PrefixNode* parent, Tokens tokens, Visit visit);
  void SetReserved(Reservation& reservation, size_t blocks);
  void CountPending(Reservation& reservation);  // after a change of its pending breakpoints
  // Lets go of its snapshots behind at most so many tokens.
  void UnpinUpTo(Reservation& reservation, size_t tokens);
  void Enlist(Promise& promise);  // among those that expire, and in the counts
  void Delist(Promise& promise);

  PrefixTree* tree_;
  SnapshotTable* snapshots_;
  Shares blocks_, states_;
  std::unordered_map<const PrefixNode*, Brothers> promises_;  // by parent; no empty ones
  std::set<std::pair<TimePoint, Promise*>> by_expiry_;
  std::array<size_t, 3> by_class_ = {};
  size_t reservations_ = 0;  // not empty
  size_t reserved_blocks_ = 0;
  size_t reserved_snapshots_ = 0;
  uint64_t made_ = 0;
  uint64_t refused_ = 0;
};

template <typename Choose>
void PromiseTable::EndThose(Choose choose) {
  for (auto next = by_expiry_.begin(); next != by_expiry_.end();) {
    Promise& promise = *next++->second;
    if (choose(promise.holder)) End(promise);
  }
}

}  // namespace reprise::internal

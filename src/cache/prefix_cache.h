#pragma once

// The prompt cache: a tree over token ids whose nodes own blocks of K and V.
//
// One root per scope (scope.h: tenant and a cache key). A node below it
// stands for one block: the 1..block_tokens tokens that it holds, following its parent's. Only full
// nodes have children. A node's tokens are compared as tokens: no hash decides what is equal. Of
// the children of one node none is a prefix of another.
//
//   root ── [t0 … t31] ── [t32 … t63] ── [t64 … t70]        a partial leaf: 7 tokens of its block
//                     └── [t32 … t40 x …]                   parts from its brother inside the block
//
// Matching is exact to the token: whole nodes are shared by reference; of the last node, where the
// prompt leaves it half way, `partial_tokens` leading rows may be copied into a block of one's own.
//
// Who owns which range of a running sequence's tokens:
//
//   0             a             b          c          d          e
//   ├─────────────┼─────────────┼──────────┼──────────┼──────────┤
//   │ shared      │ published   │ published│ private  │ reserved │
//   │ full nodes  │ full nodes  │ tail     │ computed │ not yet  │
//   └─────────────┴─────────────┴──────────┴──────────┴──────────┘
//   a: end of the matched full nodes; b: last block edge published; c: end of the partial leaf, in
//   the block of b; d: end of what is computed; e: end of the last block allocated. [0, c) is in
//   the tree and pinned by the sequence's one lease; the sequence also references every block of
//   [0, e). It writes in [c, e) only.
//
// A partial leaf's block may still be written by the sequence that published it, but only behind
// the tokens published so far. A full node's block is never written again.
//
// Evicted are leaves that nothing holds, least recently used first; a use (match or publish)
// touches the whole path, so no node is older than its descendants. A leaf idle for the retention
// is dropped by Expire. What holds a node is a lease (of a sequence that runs) or a promise: a
// breakpoint that was accepted and whose time is not up. Promises hold at most pin_blocks in all.
//
// Of models with recurrent layers (Options::states) there is one state of fixed size besides, for a
// whole sequence. A prefix can be read up to where a copy of it was kept, a snapshot, and no
// further; so Match ends there, and reports as `known` how far K and V would have gone. Where
// snapshots are kept is the caller's choice (PublishState).
//
// REQUIRES of every sequence: while it references a block that is in the tree, its lease holds that
// block's node or one below it. So: give back blocks first, the lease last. (What no lease holds
// counts as available; evicting it must free it. Checked at eviction.)
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
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/limits.h"
#include "cache/block_listener.h"
#include "cache/block_pool.h"
#include "cache/breakpoint.h"
#include "cache/loss.h"
#include "cache/state_reference.h"
#include "cache/tenant_sizes.h"
#include "cache/tree_view.h"

namespace reprise {

class PrefixCache;
namespace internal {
class DropLog;
struct PrefixNode;
class PrefixTree;
class PromiseTable;
struct Snapshot;
class SnapshotTable;
}  // namespace internal

// Pins a node and its path to the root: what it holds is not evicted. Move-only; releases itself.
// Must not outlive its cache.
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
  Lease(internal::PrefixTree* tree, internal::PrefixNode* node);
  internal::PrefixTree* tree_ = nullptr;
  internal::PrefixNode* node_ = nullptr;  // the deepest node held
};

// Room for those accepted breakpoints of a request that are not computed yet. What of their path is
// cached is held meanwhile, whether the request runs or was set aside. Move-only; gives itself
// back. Must not outlive its cache.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();
  void Release();
  bool empty() const { return book_ == nullptr; }

 private:
  friend class internal::PromiseTable;
  internal::PromiseTable* book_ = nullptr;
  internal::PrefixNode* node_ = nullptr;  // the deepest full node of the path, or the root
  std::vector<Breakpoint> pending_;
  // Of pending breakpoints, those whose block is not full yet: pinned snapshots, and where.
  std::vector<std::pair<size_t, internal::Snapshot*>> snapshots_;
  TimePoint start_;
  size_t reserved_blocks_ = 0;     // from node_ to the last of pending_
  size_t reserved_snapshots_ = 0;  // one for each of pending_
};

enum class StateUse : uint8_t { kCopy, kGive };

struct PrefixMatch {
  size_t tokens = 0;               // matched in all: blocks.size() * block_tokens + partial_tokens
  std::vector<BlockId> blocks;     // full nodes, in order; the caller references those it uses
  std::optional<BlockId> partial;  // the node the prompt leaves half way, or a partial leaf
  size_t partial_tokens = 0;       // leading rows of `partial` that are common
  Lease lease;                     // holds `blocks`; empty if there are none
  // Holds `partial`. Copy the rows, then release this at once: it keeps from eviction a block that
  // the caller does not use. If no block can be allocated for the copy, release it and try again
  // without the partial rows: so a sequence that fits the pool never blocks itself.
  Lease partial_lease;
  // Where the match ends before the limit: what became of a block that would have gone on, if one
  // is remembered. For diagnosis only.
  std::optional<Loss> lost;
  // Tokens whose K and V are cached, up to the limit. With states that can be more than `tokens`.
  size_t known = 0;
  StateReference state;  // behind `tokens`; empty where that is 0, and for models without states
};

class PrefixCache {
 public:
  struct Options {
    int block_tokens = 32;
    Duration retention = std::chrono::minutes(10);  // more than 0; Duration::max() is for ever
    size_t pin_blocks = 0;                          // that promises may hold
    size_t pin_blocks_per_tenant = 0;               // of those, that one tenant's may; 0: all
    size_t remembered_losses = limits::kMaxRememberedLosses;
    // Of models with recurrent layers: where their states lie, outlives the cache. At most
    // working_states of them are sequences' own and pin_snapshots are held for promises.
    // REQUIRES: working_states is 1 or more, and the two fit the arena together.
    BlockPool* states = nullptr;
    size_t working_states = 0;
    size_t pin_snapshots = 0;
    size_t pin_snapshots_per_tenant = 0;  // 0: all
  };
  struct Counters {                    // since start
    uint64_t evicted_blocks = 0;       // by Allocate, for room
    uint64_t expired_blocks = 0;       // by Expire
    uint64_t published_blocks = 0;     // nodes that became findable
    uint64_t deduplicated_blocks = 0;  // publishing found the tokens cached already, elsewhere
    uint64_t promises = 0;             // made; marking what is promised already makes none
    uint64_t refused_promises = 0;     // breakpoints for which there was no room
    uint64_t expired_promises = 0;
    uint64_t kept_snapshots = 0;
    uint64_t evicted_snapshots = 0;  // by themselves, for another state; their blocks stayed
  };
  struct Sizes {
    size_t total_blocks = 0;
    size_t free_blocks = 0;
    size_t cached_blocks = 0;        // owned by a node
    size_t private_blocks = 0;       // referenced by sequences only
    size_t leased_blocks = 0;        // cached and held by a lease: not evictable now
    size_t pinned_blocks = 0;        // cached and held for a promise: neither; some are leased too
    size_t held_blocks = 0;          // leased, pinned or both
    size_t reserved_blocks = 0;      // that promises of running requests will hold beyond these
    size_t pin_capacity_blocks = 0;  // for pinned and reserved
    size_t pin_capacity_per_tenant_blocks = 0;
    size_t promises = 0;            // unexpired, of which …
    size_t promises_to_5m = 0;      // … with a ttl of at most five minutes,
    size_t promises_to_1h = 0;      // … of more, up to an hour,
    size_t promises_beyond_1h = 0;  // … of more
    size_t cached_tokens = 0;       // that Match can find
    size_t scopes = 0;
    size_t tenants = 0;  // whose scopes these are
    // Of models with states, in states.
    size_t total_states = 0;
    size_t working_states = 0;  // sequences' own
    size_t most_working_states = 0;
    size_t snapshots = 0;           // …
    size_t pinned_snapshots = 0;    // … of those, held for a promise
    size_t reserved_snapshots = 0;  // that promises of running requests will hold
    size_t pin_capacity_snapshots = 0;
  };

  // Both must outlive the cache, and neither lease nor reservation may.
  PrefixCache(BlockPool* pool, const Clock* clock, Options options);
  ~PrefixCache();

  // The longest cached prefix of `tokens` in `scope`, at most `limit` tokens, touched and leased.
  // Where several nodes share equally many rows with the end of the prompt, any one is `partial`.
  // With states: up to the deepest snapshot, or nothing.
  PrefixMatch Match(std::string_view scope, std::span<const TokenId> tokens, size_t limit);
  // How far K and V go; touches nothing.
  size_t Peek(std::string_view scope, std::span<const TokenId> tokens) const;
  // How many tokens Match would give; touches nothing.
  size_t PeekReadable(std::string_view scope, std::span<const TokenId> tokens, size_t limit) const;

  // Tokens that are cached behind `tokens`, at most `most`, wherever somebody went on from there:
  // of several ways, roughly the one used last. Touches nothing. REQUIRES: `lease` is empty, or
  // holds a prefix of `tokens` in `scope`; the walk begins there.
  std::vector<TokenId> PeekBeyond(std::string_view scope, std::span<const TokenId> tokens,
                                  const Lease& lease, size_t most) const;

  // Makes tokens[first ..], whose rows are in `block`, findable behind tokens[0, first).
  //
  // REQUIRES: first is a multiple of block_tokens and 1 ≤ tokens.size() - first ≤ block_tokens.
  // tokens[0, first) are full nodes of `scope` held by `lease`, which ends there or at the node
  // published before at the same `first`. The caller holds a reference to `block`. If the block was
  // published before, tokens only grew since.
  //
  // Returns the block that stands for these tokens in the caller's table from now on, and moves
  // `lease` to the deepest node that this block, or failing that the block before it, is in:
  //
  //   found in the tree, in a block with other rows     what happens                 returns  lease
  //   nothing that begins with these tokens             new node; the tree takes a   block    it
  //                                                     reference of its own
  //   `block` itself, with fewer (or the same) tokens   its node grows in place      block    it
  //   an equal full node                                the caller's reference goes  its      it
  //                                                     from `block` to that node's  block
  //                                                     (equal tokens, equal bits)
  //   a longer node, or an equal partial leaf (whose    nothing: `block` is private  block parent
  //   owner may write behind it)
  //
  // A partial leaf that is a proper prefix of a new node is superseded: no longer found, its block
  // given back at once or, if leases hold it, with the last of them. The parent of a first block is
  // no node: `lease` is empty then.
  BlockId Publish(std::string_view scope, std::span<const TokenId> tokens, size_t first,
                  BlockId block, Lease& lease);

  // -- Promises. A promise holds the nodes of tokens[0, breakpoint) until `ttl` after the start of
  // the request that marked it or of the last one that read so far. It is the same promise whoever
  // marks it; the later end and the longer ttl count. A node is held whole, also where the
  // breakpoint stands inside of it, and so is the path above.

  // Decides which breakpoints (ascending, 1..prompt.size()) of a request that began at `start` are
  // kept: those for which the blocks that they would newly hold, cached or still to be computed,
  // fit the share of promises. What is cached is promised at once; the rest is in `reservation`
  // (REQUIRES: empty), and cannot fail any more.
  // With states, each also holds a snapshot, which counts in the same way. What the request has not
  // `read` it computes anew, so it will publish these; a breakpoint in what it has read without a
  // snapshot is refused.
  std::vector<BreakpointOutcome> Promise(std::string_view scope, std::span<const TokenId> prompt,
                                         std::span<const Breakpoint> breakpoints, TimePoint start,
                                         Reservation& reservation, size_t read = 0);
  // `published`, the beginning of the prompt, is in the tree now and, but for a tail that fills no
  // block, held by the caller's lease: makes the promises that it reaches. With states,
  // PublishState comes before: without its snapshot a promise is not made, and those behind it wait
  // too.
  void Fulfil(Reservation& reservation, std::span<const TokenId> published);
  // The request ends with no more published than this: the same, and gives back the rest. What was
  // not reached is not promised.
  void Conclude(Reservation& reservation, std::span<const TokenId> published);
  // A request that began at `start` reads this prompt: every promise on its path begins anew.
  void Renew(std::string_view scope, std::span<const TokenId> prompt, TimePoint start);

  // A free block with one reference, zeroed, evicting if need be; nullopt if everything is held.
  // `for_whom` is remembered of what is evicted; 0: nobody.
  std::optional<BlockId> Allocate(SequenceId for_whom = {});
  // Blocks that Allocate could hand out now: free ones and those that eviction can reach. O(1).
  size_t available_blocks() const;

  // -- States. REQUIRES of all: Options::states is set.

  // A state of the caller's own, equal to `snapshot` (PrefixMatch::state), or zeros if that is
  // empty. Empty if working_states are taken.
  StateReference TakeState(StateReference snapshot);
  // Keeps `state`, which stands behind `tokens`, as a snapshot: a copy, or itself (then it is empty
  // afterwards). Where there is one already, that is used. For a pending breakpoint of
  // `reservation` it cannot fail; another one is not kept if no room is to be had.
  // REQUIRES: as for Publish of the last 1..block_tokens tokens, which are published now. Where
  // their block was only shared with a node that is gone since, nothing is kept.
  void PublishState(std::string_view scope, std::span<const TokenId> tokens, const Lease& lease,
                    StateReference& state, StateUse use, Reservation& reservation);
  // Holds the full nodes that `tokens` begin with, as far as they are in the tree.
  Lease Hold(std::string_view scope, std::span<const TokenId> tokens);
  // Whether there is a snapshot behind exactly these tokens; then it counts as used.
  bool TouchSnapshot(std::string_view scope, std::span<const TokenId> tokens);

  // Ends the promises whose time is up, then drops what nothing holds and what has been idle for
  // the retention; returns blocks freed.
  size_t Expire();
  // When Expire will next have something to do; nullopt if never unless something changes.
  std::optional<TimePoint> next_expiry() const;
  // Ends all promises and drops everything that neither a lease nor a reservation holds; returns
  // blocks freed.
  size_t Flush();

  // Is told from now on which full blocks can be found; nullptr: nobody is. It outlives the cache,
  // or is taken away before.
  void SetListener(BlockListener* listener);
  // Tells it all that can be found now: each before those behind it and, where only one is, right
  // before that. O(blocks cached).
  void TellFullBlocks(BlockListener& listener) const;

  // -- For people who look at it (prefix_cache_view.cc). A node is named as in TreeView.

  // Touches nothing. O(blocks of the pool); tokens are copied of the chains that are not left out.
  TreeView Describe(const TreeQuery& query) const;
  // Ends the promises on the node and on all below it, then drops of these what neither a lease nor
  // a reservation holds. nullopt: there is no such node.
  std::optional<TreeDrop> Drop(TreeNodeId id);
  // A promise for all tokens up to the node's end, of `ttl` from now; with states, up to the
  // deepest snapshot before that. nullopt: there is no such node.
  std::optional<TreeKeep> Keep(TreeNodeId id, Duration ttl);

  Sizes sizes() const;
  std::vector<TenantSizes> tenants() const;  // of those that have a scope, by name
  Counters counters() const;
  int block_tokens() const;

  // Whole-state check of the law and of the tree's invariants; aborts with the invariant broken.
  // O(blocks of the pool): for tests and idle moments of debug builds.
  void Check() const;

 private:
  internal::PrefixNode* ParentFor(std::string_view scope, std::span<const TokenId> tokens,
                                  size_t first, const Lease& lease);
  BlockId Deduplicate(internal::PrefixNode& found, bool equal, BlockId block, Lease& lease);
  void DropOldest(LossCause cause, SequenceId for_whom = {});
  void DropLeaf(internal::PrefixNode* leaf, LossCause cause, SequenceId for_whom = {});
  internal::PrefixNode* FindNode(TreeNodeId id) const;

  Options options_;
  std::unique_ptr<internal::PrefixTree> tree_;
  std::unique_ptr<internal::SnapshotTable> snapshots_;  // of models with states; before the tree
  std::unique_ptr<internal::PromiseTable> book_;        // ends before both
  std::unique_ptr<internal::DropLog> drops_;
  Counters counters_;
};

}  // namespace reprise

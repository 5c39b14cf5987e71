#pragma once

// What the scheduler does with the stores below memory: has a waiting sequence's prefix brought up
// from there where that is sooner than computing it, and what is published taken down. The tree
// stays a picture of memory: a block that arrives is published there like one that was computed.
//
//   waiting ─ Holds ─▶ Fetch ─▶ blocks arrive: Allocate, copy, Publish, held by a lease ─▶ admitted
//             for one tier after the other, the fastest first; each goes on where the last ended
//   running ─ Publish ─▶ Offer (copied)        ended ─ Conclude ─▶ uses, promises
//
// With recurrent states a prefix is brought up to where a state is stored too, in parts as large as
// blocks; it becomes a snapshot there. Only states at a block's edge go down.
//
// Never waits: what does not come in time is computed. Engine thread.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/sha256.h"
#include "cache/block_pool.h"
#include "cache/prefix_cache.h"
#include "engine/sequence.h"
#include "engine/step_pace.h"
#include "tiers/block_tier.h"

namespace reprise {

class LowerTier {
 public:
  using RealTime = std::chrono::steady_clock::time_point;

  struct Options {
    std::vector<BlockTier*> tiers = {};  // the fastest first; none: nothing happens
    Sha256 identity;                     // of the model's K and V
    Duration patience{};                 // with a store that says nothing, at least
    double seconds_per_cost = 0;         // of computing (step_pace.h), until it has been measured
    std::function<void()> wake;          // any thread: the engine is to look for what arrived
    size_t state_bytes = 0;              // of a recurrent state; 0: the model has none
  };

  // All outlive it.
  LowerTier(BlockPool* pool, PrefixCache* cache, const StepPace* pace, Options options);

  // True: blocks of the waiting sequence are on their way, so it is not admitted yet. Begins to
  // bring them where that was not tried; `most` is how many of its tokens it may read, `others`
  // how many sequences run, which may grow.
  bool Holds(Sequence& sequence, size_t most, size_t others);
  // Takes what arrived for a waiting sequence into the tree.
  void Collect(Sequence& sequence);
  // It is admitted, or is to be admitted without: what was brought is not held any more.
  void LetGo(Sequence& sequence);
  // When a sequence that waits gives up, in real time: a store may stand still.
  static std::optional<RealTime> patience(const Sequence& sequence);

  // Its block `index` is full and published: every tier gets it.
  void Offer(Sequence& sequence, size_t index);
  // Its recurrent state stands at the edge of a published block, or not: every tier gets it.
  void OfferState(Sequence& sequence);
  // Breakpoints that memory has no room to promise are promised below where there is room.
  void Promise(Sequence& sequence);
  // It ends, so long after it came: what it read and computed was used, and what it was promised
  // is.
  void Conclude(Sequence& sequence, Duration age);

 private:
  struct Level {
    BlockTier* tier;
    std::unordered_set<BlockId> not_stored = {};  // published, but the queue was full
    std::weak_ptr<TierFetch> given_up = {};       // the last that was too slow to wait for
  };

  void Begin(Sequence& sequence, Level& level, size_t first_block, size_t blocks);
  void OfferTo(Level& level, Sequence& sequence, size_t index, BlockId block);
  bool TakeIn(Sequence& sequence, const std::byte* payload);
  bool TakeInBlock(Sequence& sequence, const std::byte* payload);
  bool TakeInState(Sequence& sequence, const std::byte* payload);
  size_t StateParts() const;
  BlockUse StatePartUse(Sequence& sequence, size_t block, size_t part, WallSeconds when) const;
  void AddStateUses(Sequence& sequence, size_t blocks, WallSeconds when,
                    std::vector<BlockUse>& uses) const;
  double ComputeSeconds(size_t tokens, size_t first) const;
  const std::vector<BlockKey>& Keys(Sequence& sequence, size_t blocks) const;
  std::span<const TokenId> BlockTokens(const Sequence& sequence, size_t index) const;

  BlockPool* pool_;
  PrefixCache* cache_;
  const StepPace* pace_;
  const Options options_;
  const size_t block_tokens_;
  std::vector<Level> levels_;
};

}  // namespace reprise

#pragma once

// A small world of sequences that use the prefix cache as the engine does, beside the same world on
// the naive cache. Every verb is done in both and what it answers compared; Compare() compares
// everything that can be seen and reads back every row.
//
// A row's payload stands for K and V of its token: like them it depends on all tokens before it. So
// a row that is read in the wrong place, from a wrong block, or was overwritten, is noticed.
//
// Somebody listens to which full blocks come and go: what he has heard is compared with the naive
// cache too.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cache/block_pool.h"
#include "cache/prefix_cache.h"
#include "naive_cache.h"

namespace reprise {

// Folds what it is told: the prompts' beginnings that are whole blocks.
class HeardBlocks final : public BlockListener {
 public:
  using Prefix = std::pair<std::string, std::vector<TokenId>>;  // with its scope

  void OnStored(std::string_view scope, std::optional<BlockId> parent, BlockId block,
                std::span<const TokenId> tokens) override;
  void OnRemoved(BlockId block) override;
  std::set<Prefix> prefixes() const;

 private:
  std::map<BlockId, Prefix> blocks_;
};

class CacheWorld {
 public:
  using Words = std::vector<TokenId>;
  struct Size {
    size_t blocks = 3;
    int block_tokens = 2;
    size_t sequences = 2;
    size_t pin_blocks = 0;
    size_t pin_blocks_per_tenant = 1000;
    size_t states = 0;  // 0: a model without
    size_t working_states = 1;
    size_t pin_snapshots = 0;
    size_t pin_snapshots_per_tenant = 1000;
  };
  static constexpr Duration kRetention = std::chrono::seconds(10);
  enum class Partial { kCopyAndLetGo, kCopyAndKeepLease };
  enum class AtEnd { kDropState, kKeepState };

  explicit CacheWorld(Size size);

  bool running(size_t slot) const { return sequences_[slot].running; }
  const Words& tokens(size_t slot) const { return sequences_[slot].tokens; }

  // The verbs. REQUIRES: Begin on a slot that is not running, the others on one that is.
  void Begin(size_t slot, const std::string& scope, const Words& prompt, size_t limit,
             Partial partial);
  // What of its prompt is to be kept. From then on it appends what the prompt says.
  void Promise(size_t slot, const std::vector<Breakpoint>& breakpoints);
  const Words& prompt(size_t slot) const { return sequences_[slot].prompt; }
  bool promised(size_t slot) const { return sequences_[slot].promised; }
  bool Append(size_t slot, TokenId token);  // computes one row; false if no block is to be had
  void Publish(size_t slot);                // all computed rows, block by block
  void LetGoPartial(size_t slot);
  // Publishes, and keeps a copy of the state; without one, nothing happens.
  void KeepState(size_t slot);
  void End(size_t slot, AtEnd at_end = AtEnd::kDropState);
  // Begin, Promise, Append the rest of the prompt (publishing each full block, and with states up
  // to each breakpoint, where it keeps them) and Publish; true if all fitted.
  bool Run(size_t slot, const std::string& scope, const Words& prompt,
           const std::vector<Breakpoint>& breakpoints = {});

  void Advance(Duration by) { clock_.Advance(by); }
  void Expire();
  void Flush();

  void Compare();
  // Ends everything: all blocks must come back.
  void Drain();

  const PrefixCache& cache() const { return *cache_; }

 private:
  struct Sequence {
    bool running = false;
    std::string scope;
    Words prompt;
    Words tokens;  // whose rows are computed
    std::vector<BlockId> table;
    size_t published_blocks = 0;  // full ones
    size_t published = 0;         // tokens
    bool promised = false;
    Reservation reservation;
    uint64_t naive_reservation = 0;
    size_t read = 0;  // of the prompt
    StateReference state;
    Lease lease;
    NaivePrefixCache::LeaseId naive_lease = 0;
    BlockId partial;  // held by the leases below, and its rows
    size_t partial_first = 0;
    Words partial_prefix;
    Lease partial_lease;
    NaivePrefixCache::LeaseId naive_partial_lease = 0;
  };

  static uint64_t Row(const std::string& scope, std::span<const TokenId> tokens);
  void WriteRow(BlockId block, size_t position, uint64_t row);
  // That block holds the rows of tokens[first ..], up to its end.
  void ExpectRows(const std::string& scope, std::span<const TokenId> tokens, size_t first,
                  BlockId block);
  std::optional<BlockId> Allocate();
  void PublishBlock(Sequence& sequence, size_t first);
  void Fulfil(Sequence& sequence);
  // The state holds the row of the last of its tokens, which stands for all.
  void WriteState(Sequence& sequence);
  void TakeState(Sequence& sequence, StateReference snapshot, const Words& tokens);
  void DropState(Sequence& sequence);
  void CompareBeyond(const Sequence& sequence);
  void CompareStates();
  void CompareHeard();

  size_t block_tokens_;
  ManualClock clock_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<BlockPool> states_;  // nullptr: a model without
  HeardBlocks heard_;
  std::unique_ptr<PrefixCache> cache_;
  NaivePrefixCache naive_;
  std::vector<Sequence> sequences_;
  uint64_t last_reservation_ = 0;
};

}  // namespace reprise

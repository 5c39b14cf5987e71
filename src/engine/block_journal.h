#pragma once

// Tells those who watch (tiers/block_changes.h) which full blocks the prefix tree holds: a snapshot
// when they come, then what each step of the engine changed. Hears of the tree's changes as its
// listener, and keeps each block's key, from which its children's follow. What comes and goes
// within one step is not told. With nobody watching it costs a block's key: a hash over its tokens.
//
// Engine thread. The sinks are called on it.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cache/block_listener.h"
#include "cache/prefix_cache.h"
#include "tiers/block_changes.h"
#include "tiers/block_key.h"

namespace reprise {

class BlockJournal final : public BlockListener {
 public:
  // For blocks 0 … block_count - 1 of a pool.
  BlockJournal(const Sha256& identity, size_t block_count);

  void OnStored(std::string_view scope, std::optional<BlockId> parent, BlockId block,
                std::span<const TokenId> tokens) override;
  void OnRemoved(BlockId block) override;

  // From now on `sink` is told: all that `cache` holds, and what Tell says. With any view it is
  // told of memory, and of tokens where the view has them.
  void Watch(const PrefixCache& cache, BlockView view, BlockSink sink);
  // Tells what has changed since the last call, if anything has.
  void Tell();

  const Sha256& identity() const { return identity_; }

 private:
  struct Change {
    BlockName block = 0;
    bool stored = false;
    std::optional<BlockName> parent = {};  // of one that is stored, as the rest
    std::vector<TokenId> tokens = {};      // where somebody wants them
  };
  struct Watcher {
    BlockView view;
    BlockSink sink;
  };

  bool WantsTokens() const;
  void DropPassing();
  void Send(BlockChanges told);

  const Sha256 identity_;
  std::vector<BlockKey> keys_;   // by block; of those in the tree
  size_t held_ = 0;              // blocks in the tree
  std::vector<Change> changes_;  // not told yet; none while nobody watches
  std::vector<Watcher> watchers_;
  uint64_t sequence_ = 0;
};

}  // namespace reprise

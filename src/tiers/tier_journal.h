#pragma once

// Tells those who watch (block_changes.h) which blocks a store below memory holds. Hears of its
// changes as its listener, on the threads that call the store; what came since the last Tell is
// told together. With nobody watching nothing is remembered.
//
// Any thread. The sinks are called by whoever calls Watch or Tell, one at a time.

#include <cstdint>
#include <mutex>
#include <vector>

#include "tiers/block_changes.h"
#include "tiers/block_store.h"

namespace reprise {

class TierJournal final : public StoreListener {
 public:
  explicit TierJournal(BlockPlace place) : place_(place) {}

  void OnStored(BlockName block) override;
  void OnGone(BlockName block) override;
  void OnCleared() override;

  // From now on `sink` is told: all that `store` holds, and what Tell says. An Error: what it holds
  // could not be read; then it is told of what changes only.
  Status Watch(const BlockStore& store, BlockSink sink);
  // Tells what has changed since the last call, if anything has.
  void Tell();

 private:
  struct Change {
    BlockName block = 0;
    bool stored = false;
  };

  // REQUIRES, of both: mutex_ held.
  void TellLocked();
  void Send(BlockChanges told);
  bool SendSnapshot(const std::vector<BlockName>& names, const BlockSink& sink) const;

  const BlockPlace place_;
  std::mutex mutex_;
  std::vector<Change> changes_;   // GUARDED_BY(mutex_): not told yet; behind the last clearing
  bool cleared_ = false;          // GUARDED_BY(mutex_): not told yet
  std::vector<BlockSink> sinks_;  // GUARDED_BY(mutex_)
  uint64_t sequence_ = 0;         // GUARDED_BY(mutex_)
};

}  // namespace reprise

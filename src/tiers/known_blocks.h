#pragma once

// Which blocks a store that others use too was last seen to hold: those that this process stored
// there or found, the most recent ones of them, about 40 bytes each. Any thread.

#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

#include "tiers/block_store.h"

namespace reprise {

class KnownBlocks {
 public:
  explicit KnownBlocks(size_t most) : most_(most) {}

  // Of all that follows; nullptr: nobody is told. Called before the rest.
  void SetListener(StoreListener* listener) { listener_ = listener; }

  void Add(BlockName block);     // it is there; of too many the earliest is forgotten
  void Remove(BlockName block);  // it is not
  void Clear();
  // As BlockStore::ForEachHeld.
  void ForEach(const std::function<void(BlockName)>& visit,
               const std::function<void(bool all)>& done) const;

 private:
  const size_t most_;
  StoreListener* listener_ = nullptr;
  mutable std::mutex mutex_;
  // GUARDED_BY(mutex_): which number they have.
  boost::unordered_flat_map<BlockName, uint64_t> blocks_;
  // GUARDED_BY(mutex_): in the order that they came; what has gone since has no such number.
  std::deque<std::pair<uint64_t, BlockName>> in_order_;
  uint64_t next_ = 0;  // GUARDED_BY(mutex_)
};

}  // namespace reprise

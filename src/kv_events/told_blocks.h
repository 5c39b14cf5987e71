#pragma once

// What readers have been told that memory holds, and from that what a change or a snapshot of the
// engine is to them: events that begin no block twice and end each one once. Readers count (a block
// that is stored twice must be removed twice for llm-d), and some pass over AllBlocksCleared, so
// that blocks are removed one by one before it.
//
// A snapshot tells only what differs from what readers know: what they missed when the queue before
// the publisher was full. One thread.

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstddef>
#include <vector>

#include "base/block_name.h"
#include "kv_events/event_batch.h"
#include "tiers/block_changes.h"

namespace reprise {

class ToldBlocks {
 public:
  // In order, of memory. Empty: readers know all of it.
  std::vector<KvEvent> Apply(const BlockChanges& changes);

 private:
  using Names = boost::unordered_flat_set<BlockName>;

  void Store(const BlockRun& run, std::vector<KvEvent>& events);
  void Remove(const BlockChanges& changes, std::vector<KvEvent>& events);
  static void RemoveAll(Names& names, std::vector<KvEvent>& events);

  Names told_;
  Names doubtful_;  // while a snapshot comes: told before it, not in its parts so far
};

}  // namespace reprise

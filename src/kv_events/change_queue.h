#pragma once

// Between the threads that tell changes and the one that publishes them: bounded, and nobody waits
// for room. When it is full, all that waits is dropped, and who tells is told to stop (a sink
// answers false); the publisher then watches anew. Any thread.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "tiers/block_changes.h"

namespace reprise {

class ChangeQueue {
 public:
  enum class Purpose : uint8_t { kPublish, kWhole };
  struct Entry {
    Purpose purpose = Purpose::kPublish;
    std::shared_ptr<const BlockChanges> changes;
  };
  struct Taken {
    std::vector<Entry> entries;
    bool dropped = false;  // what was told before them, since the last Take
    bool closed = false;
  };

  // Changes of `most_blocks` may wait. Snapshots do not count: memory has room for few blocks.
  explicit ChangeQueue(size_t most_blocks);
  ~ChangeQueue();
  ChangeQueue(const ChangeQueue&) = delete;
  ChangeQueue& operator=(const ChangeQueue&) = delete;

  // A number for sinks: theirs is void once something was dropped.
  uint64_t watch() const;
  // False: the sink's number is void, or the queue is closed.
  bool Push(uint64_t watch, Entry entry);
  void Close();

  Taken Take();
  // Can be read when there is something to take.
  int descriptor() const { return descriptor_; }

 private:
  const size_t most_blocks_;
  const int descriptor_;
  mutable std::mutex mutex_;
  Taken waiting_;       // GUARDED_BY(mutex_)
  size_t blocks_ = 0;   // GUARDED_BY(mutex_): of changes that wait
  uint64_t watch_ = 0;  // GUARDED_BY(mutex_)
};

}  // namespace reprise

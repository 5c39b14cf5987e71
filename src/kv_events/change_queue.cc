#include "kv_events/change_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

namespace reprise {
namespace {

size_t CountBlocks(const BlockChanges& changes) {
  if (changes.kind == BlockChanges::Kind::kSnapshot) return 0;
  size_t blocks = 1 + changes.removed.size();
  for (const BlockRun& run : changes.stored) blocks += run.blocks.size();
  return blocks;
}

}  // namespace

ChangeQueue::ChangeQueue(size_t most_blocks)
    : most_blocks_(most_blocks), descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  CHECK(descriptor_ >= 0, "a process may have one file more");
}
ChangeQueue::~ChangeQueue() { close(descriptor_); }

uint64_t ChangeQueue::watch() const {
  const std::scoped_lock lock(mutex_);
  return watch_;
}

bool ChangeQueue::Push(uint64_t watch, Entry entry) {
  const std::scoped_lock lock(mutex_);
  if (waiting_.closed || watch != watch_) return false;
  blocks_ += CountBlocks(*entry.changes);
  if (blocks_ > most_blocks_) {
    waiting_.entries.clear();
    waiting_.dropped = true;
    blocks_ = 0;
    ++watch_;
  } else {
    waiting_.entries.push_back(std::move(entry));
  }
  eventfd_write(descriptor_, 1);
  return !waiting_.dropped;
}

void ChangeQueue::Close() {
  const std::scoped_lock lock(mutex_);
  waiting_.closed = true;
  eventfd_write(descriptor_, 1);
}

ChangeQueue::Taken ChangeQueue::Take() {
  const std::scoped_lock lock(mutex_);
  eventfd_t count = 0;
  eventfd_read(descriptor_, &count);
  blocks_ = 0;
  const bool closed = waiting_.closed;
  Taken taken = std::exchange(waiting_, {});
  waiting_.closed = closed;
  return taken;
}

}  // namespace reprise

#include "kv_events/change_queue.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace reprise {
namespace {

using Purpose = ChangeQueue::Purpose;

ChangeQueue::Entry Removal(size_t blocks, BlockChanges::Kind kind = BlockChanges::Kind::kChange) {
  BlockChanges changes;
  changes.kind = kind;
  changes.removed.resize(blocks);
  return {Purpose::kPublish, std::make_shared<const BlockChanges>(changes)};
}

bool Readable(const ChangeQueue& queue) {
  pollfd wait{.fd = queue.descriptor(), .events = POLLIN, .revents = 0};
  return poll(&wait, 1, 0) == 1;
}

TEST(ChangeQueueTest, WhatIsPushedIsTakenInOrderAndOnce) {
  ChangeQueue queue(100);
  EXPECT_FALSE(Readable(queue));
  EXPECT_TRUE(queue.Push(0, Removal(1)));
  EXPECT_TRUE(queue.Push(0, Removal(2)));
  EXPECT_TRUE(Readable(queue));
  const ChangeQueue::Taken taken = queue.Take();
  ASSERT_EQ(taken.entries.size(), 2);
  EXPECT_EQ(taken.entries[1].changes->removed.size(), 2);
  EXPECT_FALSE(taken.dropped);
  EXPECT_FALSE(Readable(queue));
  EXPECT_TRUE(queue.Take().entries.empty());
}

TEST(ChangeQueueTest, AFullQueueDropsAllAndVoidsItsSinks) {
  ChangeQueue queue(100);
  const uint64_t before = queue.watch();
  EXPECT_TRUE(queue.Push(before, Removal(60)));
  EXPECT_FALSE(queue.Push(before, Removal(60)));
  EXPECT_FALSE(queue.Push(before, Removal(1)));
  ChangeQueue::Taken taken = queue.Take();
  EXPECT_TRUE(taken.dropped);
  EXPECT_TRUE(taken.entries.empty());
  EXPECT_FALSE(queue.Push(before, Removal(1)));
  EXPECT_TRUE(queue.Push(queue.watch(), Removal(1)));
  taken = queue.Take();
  EXPECT_FALSE(taken.dropped);
  EXPECT_EQ(taken.entries.size(), 1);
}

TEST(ChangeQueueTest, WhatWasTakenMakesRoom) {
  ChangeQueue queue(100);
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(queue.Push(0, Removal(90)));
    EXPECT_EQ(queue.Take().entries.size(), 1);
  }
}

TEST(ChangeQueueTest, ASnapshotHasRoomHoweverLarge) {
  ChangeQueue queue(100);
  EXPECT_TRUE(queue.Push(0, Removal(1000, BlockChanges::Kind::kSnapshot)));
  EXPECT_TRUE(queue.Push(0, Removal(1)));
}

TEST(ChangeQueueTest, AClosedQueueTakesNothingAndSaysSo) {
  ChangeQueue queue(100);
  queue.Push(0, Removal(1));
  queue.Close();
  EXPECT_FALSE(queue.Push(0, Removal(1)));
  const ChangeQueue::Taken taken = queue.Take();
  EXPECT_TRUE(taken.closed);
  EXPECT_EQ(taken.entries.size(), 1);
}

}  // namespace
}  // namespace reprise

#include "kv_events/event_batch.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

std::string Bytes(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text += static_cast<char>(byte);
  return text;
}

const std::string kBatch = Bytes({0x93, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0});  // [1.5, …

TEST(EventBatchTest, ABatchOfNothingIsAnArrayOfThree) {
  EXPECT_EQ(EncodeBatch(1.5, {}, 32), kBatch + Bytes({0x90, 0}));
}

TEST(EventBatchTest, NamesAreNineBytesHoweverSmallAndTokensAsShortAsTheyCanBe) {
  const KvEvent stored =
      BlockRun{.parent = 7, .blocks = {0x0102030405060708}, .tokens = {1, 200, 1000, 70000}};
  EXPECT_EQ(EncodeBatch(1.5, {&stored, 1}, 4),
            kBatch + Bytes({0x91, 0x98, 0xab}) + "BlockStored" +
                Bytes({0x91, 0xcf, 1, 2, 3, 4, 5, 6, 7, 8}) +  // block_hashes
                Bytes({0xcf, 0, 0, 0, 0, 0, 0, 0, 7}) +        // parent_block_hash
                Bytes({0x94, 1, 0xcc, 200, 0xcd, 3, 232}) +    // token_ids …
                Bytes({0xce, 0, 1, 0x11, 0x70}) +              // … 70000
                Bytes({4, 0xc0, 0xc0, 0xc0}) + Bytes({0}));    // block_size, three nils; rank
}

TEST(EventBatchTest, WhatBeginsAPromptHasNoParent) {
  const KvEvent stored = BlockRun{.blocks = {1}, .tokens = {}};
  EXPECT_EQ(EncodeBatch(1.5, {&stored, 1}, 4),
            kBatch + Bytes({0x91, 0x98, 0xab}) + "BlockStored" +
                Bytes({0x91, 0xcf, 0, 0, 0, 0, 0, 0, 0, 1, 0xc0, 0x90, 4, 0xc0, 0xc0, 0xc0, 0}));
}

TEST(EventBatchTest, EventsKeepTheirOrder) {
  const std::vector<KvEvent> events = {RemovedBlocks{{9}}, ClearedBlocks()};
  EXPECT_EQ(EncodeBatch(1.5, events, 32), kBatch + Bytes({0x92, 0x93, 0xac}) + "BlockRemoved" +
                                              Bytes({0x91, 0xcf, 0, 0, 0, 0, 0, 0, 0, 9, 0xc0}) +
                                              Bytes({0x91, 0xb0}) + "AllBlocksCleared" +
                                              Bytes({0}));
}

TEST(EventBatchTest, LongArraysSayTheirLengthInMoreBytes) {
  RemovedBlocks removed;
  removed.blocks.assign(16, 1);
  KvEvent event = removed;
  EXPECT_NE(EncodeBatch(1.5, {&event, 1}, 32).find(Bytes({0xdc, 0, 16, 0xcf})), std::string::npos);
  removed.blocks.assign(70000, 1);
  event = removed;
  EXPECT_NE(EncodeBatch(1.5, {&event, 1}, 32).find(Bytes({0xdd, 0, 1, 0x11, 0x70, 0xcf})),
            std::string::npos);
}

}  // namespace
}  // namespace reprise

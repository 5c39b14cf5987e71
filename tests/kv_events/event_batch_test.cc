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

std::string Encoded(std::span<const KvEvent> events, size_t block_tokens,
                    EventEncoding encoding = EventEncoding::kArray) {
  return EncodeBatch(1.5, events, block_tokens, encoding);
}

TEST(EventBatchTest, ABatchOfNothingIsAnArrayOfThree) {
  for (const EventEncoding encoding : {EventEncoding::kMap, EventEncoding::kArray}) {
    EXPECT_EQ(Encoded({}, 32, encoding), kBatch + Bytes({0x90, 0}));
  }
}

TEST(EventBatchTest, NamesAreNineBytesHoweverSmallAndTokensAsShortAsTheyCanBe) {
  const KvEvent stored =
      BlockRun{.parent = 7, .blocks = {0x0102030405060708}, .tokens = {1, 200, 1000, 70000}};
  const std::string hashes = Bytes({0x91, 0xcf, 1, 2, 3, 4, 5, 6, 7, 8});
  const std::string parent = Bytes({0xcf, 0, 0, 0, 0, 0, 0, 0, 7});
  const std::string tokens = Bytes({0x94, 1, 0xcc, 200, 0xcd, 3, 232, 0xce, 0, 1, 0x11, 0x70});
  const std::string nil = Bytes({0xc0}), size = Bytes({4}), rank = Bytes({0});
  EXPECT_EQ(Encoded({&stored, 1}, 4), kBatch + Bytes({0x91, 0x98, 0xab}) + "BlockStored" + hashes +
                                          parent + tokens + size + nil + nil + nil + rank);
  const auto name = [](std::string_view text) {
    return Bytes({0xa0 + static_cast<int>(text.size())}) + std::string(text);
  };
  EXPECT_EQ(Encoded({&stored, 1}, 4, EventEncoding::kMap),
            kBatch + Bytes({0x91, 0x88}) + name("type") + name("BlockStored") +
                name("block_hashes") + hashes + name("parent_block_hash") + parent +
                name("token_ids") + tokens + name("block_size") + size + name("lora_id") + nil +
                name("medium") + nil + name("lora_name") + nil + rank);
}

TEST(EventBatchTest, WhatBeginsAPromptHasNoParent) {
  const KvEvent stored = BlockRun{.blocks = {1}, .tokens = {}};
  EXPECT_EQ(Encoded({&stored, 1}, 4),
            kBatch + Bytes({0x91, 0x98, 0xab}) + "BlockStored" +
                Bytes({0x91, 0xcf, 0, 0, 0, 0, 0, 0, 0, 1, 0xc0, 0x90, 4, 0xc0, 0xc0, 0xc0, 0}));
}

TEST(EventBatchTest, EventsKeepTheirOrder) {
  const std::vector<KvEvent> events = {RemovedBlocks{{9}}, ClearedBlocks()};
  const std::string hashes = Bytes({0x91, 0xcf, 0, 0, 0, 0, 0, 0, 0, 9});
  EXPECT_EQ(Encoded(events, 32), kBatch + Bytes({0x92, 0x93, 0xac}) + "BlockRemoved" + hashes +
                                     Bytes({0xc0, 0x91, 0xb0}) + "AllBlocksCleared" + Bytes({0}));
  EXPECT_EQ(Encoded(events, 32, EventEncoding::kMap),
            kBatch + Bytes({0x92, 0x83, 0xa4}) + "type" + Bytes({0xac}) + "BlockRemoved" +
                Bytes({0xac}) + "block_hashes" + hashes + Bytes({0xa6}) + "medium" +
                Bytes({0xc0, 0x81, 0xa4}) + "type" + Bytes({0xb0}) + "AllBlocksCleared" +
                Bytes({0}));
}

TEST(EventBatchTest, LongArraysSayTheirLengthInMoreBytes) {
  RemovedBlocks removed;
  removed.blocks.assign(16, 1);
  KvEvent event = removed;
  EXPECT_NE(Encoded({&event, 1}, 32).find(Bytes({0xdc, 0, 16, 0xcf})), std::string::npos);
  removed.blocks.assign(70000, 1);
  event = removed;
  EXPECT_NE(Encoded({&event, 1}, 32).find(Bytes({0xdd, 0, 1, 0x11, 0x70, 0xcf})),
            std::string::npos);
}

}  // namespace
}  // namespace reprise

// The engine over a store on disk: the same logits whatever was read from it, also when it fails.

#include <gtest/gtest.h>

#include <future>

#include "engine_fixture.h"
#include "played_store.h"
#include "tier_fixture.h"
#include "tiers/shared_store.h"

namespace reprise {
namespace {

using Fault = FaultyFiles::Fault;

class EngineTierTest : public EngineTest {
 protected:
  // Its writers use what is below, which goes first otherwise.
  void TearDown() override { engine_.reset(); }

  // A new process over the same folder.
  void Restart(Variant setup = {}) {
    setup.below = [this](size_t block_bytes, int block_tokens) {
      Variant::Tiers tiers;
      record_bytes_ = 4096 + (block_bytes + 4095) / 4096 * 4096 + 1024;
      const auto add = [&](TierKind kind, std::unique_ptr<BlockStore> store) {
        tiers.push_back(std::make_unique<BlockTier>(
            std::move(store), BlockTier::Options{.kind = kind,
                                                 .block_bytes = block_bytes,
                                                 .block_tokens = static_cast<size_t>(block_tokens),
                                                 .queue_bytes = queue_blocks_ * block_bytes,
                                                 .worthwhile = worthwhile_}));
      };
      auto store = DiskStore::Open({.folder = (elsewhere_ ? other_folder_ : folder_).path(),
                                    .capacity_bytes = blocks_on_disk_ * record_bytes_,
                                    .payload_bytes = block_bytes},
                                   files_);
      EXPECT_TRUE(store) << store.error().message;
      add(TierKind::kDisk, *std::move(store));
      if (played_ != nullptr) {
        SharedStore::Options options;
        options.stores = {played_->address()};
        options.payload_bytes = block_bytes;
        options.block_tokens = static_cast<size_t>(block_tokens);
        options.deadline = shared_deadline_;
        add(TierKind::kShared, *SharedStore::Open(options));
      }
      return tiers;
    };
    setup.patience = patience_;
    Start(setup);
  }

  BlockTier::Counters Tier() { return SettledStats().tiers.at(0); }
  BlockTier::Counters SharedTier() { return SettledStats().tiers.at(1); }

  void WaitForWritten(uint64_t blocks) {
    for (int i = 0; i < 4000 && Tier().written < blocks; ++i) std::this_thread::sleep_for(5ms);
    EXPECT_GE(Tier().written, blocks);
  }

  // The same request on an engine without a store.
  uint64_t Cold(const GenerationRequest& request) {
    Start();
    return AskAndWait(request)->finished.logits_checksum;
  }

  TestFolder folder_, other_folder_;
  bool elsewhere_ = false;
  FaultyFiles files_;
  std::unique_ptr<PlayedStore> played_;  // none: nothing is shared
  size_t blocks_on_disk_ = 1000;
  size_t queue_blocks_ = 1000;
  double worthwhile_ = 1e9;  // the tiny model computes faster than anything is read
  // So long that a busy machine makes no miss; a test of stores that stand still has its own.
  Duration patience_ = 30s;
  std::chrono::milliseconds shared_deadline_ = 30s;
  size_t record_bytes_ = 0;
};

TEST_F(EngineTierTest, WhatWasReadOutlivesTheProcessToTheBit) {
  const GenerationRequest request = Request(Prompt(200), 6);
  const uint64_t cold = Cold(request);
  Restart();
  EXPECT_EQ(AskAndWait(request)->finished.logits_checksum, cold);
  Restart();
  for (const int stored : {192, 0}) {  // six blocks of 32; then from memory, which has all of it
    const auto reply = AskAndWait(request);
    EXPECT_EQ(Sum(reply->started.stored), stored);
    EXPECT_EQ(reply->started.cached_tokens, stored > 0 ? 192 : 200);
    EXPECT_EQ(reply->finished.logits_checksum, cold);
  }
  const BlockTier::Counters tier = Tier();
  EXPECT_EQ(tier.read, 6U);
  EXPECT_EQ(tier.sizes.records, 6U);
}

TEST_F(EngineTierTest, WhatWasGuessedOutlivesTheProcessToTheBit) {
  auto request = Request(Prompt(60), 100);
  Start({.speculate = false});
  const auto plain = AskAndWait(request);
  auto conversation = request.prompt;
  conversation.insert(conversation.end(), plain->finished.reply.begin(),
                      plain->finished.reply.end());
  const auto next = Request(conversation, 6);
  const auto cold = AskAndWait(next)->finished.logits_checksum;
  Restart();
  request.prediction = plain->finished.reply;
  EXPECT_EQ(AskAndWait(request)->finished.logits_checksum, plain->finished.logits_checksum);
  EXPECT_GT(SettledStats().accepted_guesses[static_cast<size_t>(GuessSource::kPrediction)], 50U);
  Restart();
  const auto warm = AskAndWait(next);
  EXPECT_EQ(Sum(warm->started.stored), 128U);
  EXPECT_EQ(warm->finished.logits_checksum, cold);
}

TEST_F(EngineTierTest, ARecurrentStateOutlivesTheProcessWithItsBlocks) {
  kind_ = TinyKind::kRecurrent;
  const GenerationRequest request = Request(Prompt(200), 6);
  const uint64_t cold = Cold(request);
  Restart();
  EXPECT_EQ(AskAndWait(request)->finished.logits_checksum, cold);
  Restart();
  const auto reply = AskAndWait(request);
  EXPECT_EQ(reply->started.cached_tokens, 192);
  EXPECT_EQ(reply->finished.logits_checksum, cold);
}

TEST_F(EngineTierTest, ALongerPromptReadsItsBeginningAndAnotherScopeNothing) {
  Restart();
  AskAndWait(Request(Prompt(200), 2));
  Restart();
  std::vector<TokenId> longer = Prompt(200);
  longer.resize(150);
  for (TokenId i = 0; i < 80; ++i) longer.push_back(7 + i);
  const GenerationRequest request = Request(longer, 4);
  const auto reply = AskAndWait(request);
  EXPECT_EQ(reply->started.cached_tokens, 128) << "four whole blocks are common";
  GenerationRequest foreign = Request(Prompt(200), 2);
  foreign.scope = "somebody else";
  EXPECT_EQ(AskAndWait(foreign)->started.cached_tokens, 0);
  EXPECT_EQ(reply->finished.logits_checksum, Cold(request));
}

TEST_F(EngineTierTest, WhatMemoryHadNoRoomForIsReadFromDisk) {
  // Memory for one prompt and a bit; disk for all.
  const Variant small{.blocks = 10, .context = 256};
  Restart(small);
  std::vector<uint64_t> cold;
  for (TokenId i = 0; i < 6; ++i) {
    cold.push_back(AskAndWait(Request(Prompt(200, i), 4))->finished.logits_checksum);
    WaitForWritten(static_cast<uint64_t>(i + 1) * 6);
  }
  for (TokenId i = 0; i < 6; ++i) {
    const auto reply = AskAndWait(Request(Prompt(200, i), 4));
    EXPECT_GE(reply->started.cached_tokens, 192) << i;
    EXPECT_EQ(reply->finished.logits_checksum, cold[static_cast<size_t>(i)]);
  }
  EXPECT_GT(Tier().read, 24U);
}

TEST_F(EngineTierTest, ManyAtOnceOnLittleMemoryComeToTheirEnds) {
  const Variant small{.blocks = 14, .context = 256};
  Restart(small);
  ExpectManyAtOnceEndAsTheyDoAlone();
  EXPECT_EQ(SettledStats().cache.leased_blocks, 0U);
  EXPECT_EQ(SettledStats().cache.private_blocks, 0U);
}

TEST_F(EngineTierTest, NoFaultOfTheDiskIsSeenInAReply) {
  const GenerationRequest request = Request(Prompt(200), 6);
  const uint64_t cold = Cold(request);
  for (const Fault fault : {Fault::kReadFails, Fault::kReadFlipsABit}) {
    Restart();
    AskAndWait(request);
    Restart();
    files_.fault = fault;
    const auto reply = AskAndWait(request);
    EXPECT_FALSE(reply->failed);
    EXPECT_EQ(reply->started.cached_tokens, 0);
    EXPECT_EQ(reply->finished.logits_checksum, cold);
    files_.fault = Fault::kNone;
  }
  for (const Fault fault : {Fault::kWriteFails, Fault::kSyncFails}) {
    Restart();
    Flush();
    files_.fault = fault;
    const auto reply = AskAndWait(request);
    EXPECT_EQ(reply->finished.logits_checksum, cold);
    for (int i = 0; i < 4000 && Tier().write_failures == 0; ++i) std::this_thread::sleep_for(1ms);
    EXPECT_GT(Tier().write_failures, 0U);
    files_.fault = Fault::kNone;
  }
}

TEST_F(EngineTierTest, WhatFoundTheQueueFullIsOfferedAgainWhenARequestEnds) {
  queue_blocks_ = 2;
  Restart();
  for (uint64_t round = 1; round <= 5 && Tier().sizes.records < 6; ++round) {
    AskAndWait(Request(Prompt(200), 2));  // from memory, but for the first
    for (int i = 0; i < 4000 && Tier().queue_bytes > 0; ++i) std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(Tier().sizes.records, 6U);
  EXPECT_GT(Tier().queue_dropped, 0U);
}

TEST_F(EngineTierTest, AStoreThatStandsStillIsNotWaitedFor) {
  const GenerationRequest request = Request(Prompt(200), 6);
  const uint64_t cold = Cold(request);
  Restart();
  AskAndWait(request);
  patience_ = EngineTiers{}.patience;
  Restart();
  files_.read_delay_ms = 3000;
  const TimePoint begin = clock_.Now();
  const auto reply = AskAndWait(request);
  EXPECT_LT(clock_.Now() - begin, 1500ms);
  EXPECT_EQ(Sum(reply->started.stored), 0);
  EXPECT_EQ(reply->finished.logits_checksum, cold);
  // While it stands still, nobody else tries.
  const TimePoint again = clock_.Now();
  AskAndWait(Request(Prompt(200, 3), 2));
  EXPECT_LT(clock_.Now() - again, 1000ms);
  files_.read_delay_ms = 0;
}

TEST_F(EngineTierTest, WhoStandsBehindOthersOrdersWaitsForHisOwn) {
  Restart();
  for (TokenId i = 0; i < 6; ++i) AskAndWait(Request(Prompt(200, i), 2));
  patience_ = 300ms;
  Restart();
  files_.read_delay_ms = 15;  // 90 ms for each, one after the other: the last waits for longer
  std::vector<std::shared_ptr<Reply>> replies;
  for (TokenId i = 0; i < 6; ++i) replies.push_back(Ask(Request(Prompt(200, i), 2)));
  for (const auto& reply : replies) {
    reply->Wait();
    EXPECT_EQ(Sum(reply->started.stored), 192U);
  }
  files_.read_delay_ms = 0;
}

TEST_F(EngineTierTest, FlushEmptiesTheDiskToo) {
  Restart();
  AskAndWait(Request(Prompt(200), 2));
  WaitForWritten(6);
  Flush();
  EXPECT_EQ(Tier().sizes.records, 0U);
  Restart();
  EXPECT_EQ(AskAndWait(Request(Prompt(200), 2))->started.cached_tokens, 0);
}

TEST_F(EngineTierTest, APromiseOutlivesTheProcessAndOthersRoom) {
  blocks_on_disk_ = 20;
  GenerationRequest marked = Request(Prompt(200), 2);
  marked.breakpoints = {{.tokens = 200, .ttl = 1h}};
  Restart();
  EXPECT_TRUE(AskAndWait(marked)->finished.breakpoints.at(0).accepted());
  Restart();
  EXPECT_EQ(Tier().sizes.promised_bytes, 6 * record_bytes_);
  for (TokenId i = 1; i < 8; ++i) AskAndWait(Request(Prompt(200, i), 2));
  Restart();
  EXPECT_EQ(Tier().sizes.records, 20U) << "the others had the rest of the room";
  EXPECT_EQ(Sum(AskAndWait(Request(Prompt(200), 2))->started.stored), 192);
}

TEST_F(EngineTierTest, AMarkThatMemoryHasNoRoomForIsKeptOnDisk) {
  blocks_on_disk_ = 24;
  GenerationRequest marked = Request(Prompt(200), 2);
  marked.breakpoints = {{.tokens = 200, .ttl = 1h}};
  const Variant no_pins{.pin_blocks = 0};
  Start(no_pins);
  EXPECT_FALSE(AskAndWait(marked)->finished.breakpoints.at(0).accepted());
  Restart(no_pins);
  EXPECT_TRUE(AskAndWait(marked)->finished.breakpoints.at(0).accepted());
  Restart(no_pins);
  EXPECT_EQ(Tier().sizes.promised_bytes, 6 * record_bytes_);
  // Half of the disk is promises'.
  for (TokenId i = 1; i < 4; ++i) {
    GenerationRequest more = Request(Prompt(200, i), 2);
    more.breakpoints = marked.breakpoints;
    EXPECT_EQ(AskAndWait(more)->finished.breakpoints.at(0).accepted(), i == 1) << i;
    WaitForWritten(static_cast<uint64_t>(i) * 6);
    for (int j = 0; j < 2000 && Tier().sizes.promised_bytes < 12 * record_bytes_; ++j) {
      std::this_thread::sleep_for(1ms);
    }
  }
}

// ---- a disk, and a store that is shared
// -----------------------------------------------------------

TEST_F(EngineTierTest, WhatTheDiskLacksIsReadFromTheSharedStoreAndKeptOnDisk) {
  const GenerationRequest request = Request(Prompt(200), 6);
  const uint64_t cold = Cold(request);
  played_ = std::make_unique<PlayedStore>();
  Restart();
  AskAndWait(Request(Prompt(200), 2));
  for (int i = 0; i < 4000 && SharedTier().written < 6; ++i) std::this_thread::sleep_for(1ms);
  // Another machine: it has nothing on disk yet but the first half.
  elsewhere_ = true;
  std::vector<TokenId> half = Prompt(200);
  half.resize(100);
  auto shared = std::move(played_);
  Restart();
  AskAndWait(Request(half, 2));
  WaitForWritten(3);
  played_ = std::move(shared);
  Restart();
  const auto reply = AskAndWait(request);
  EXPECT_EQ(reply->started.stored[TierKind::kDisk], 96U);
  EXPECT_EQ(reply->started.stored[TierKind::kShared], 96U);
  EXPECT_EQ(reply->finished.logits_checksum, cold);
  EXPECT_EQ(SharedTier().read, 3U);
  WaitForWritten(3);
  shared_deadline_ = 300ms;  // what is told to a silent store as the engine ends waits for so long
  Restart();
  played_->mood = PlayedStore::Mood::kSilent;
  const auto again = AskAndWait(request);
  EXPECT_EQ(again->started.stored[TierKind::kDisk], 192U) << "it was kept there too";
  EXPECT_EQ(again->finished.logits_checksum, cold);
}

TEST_F(EngineTierTest, WhateverTheSharedStoreSaysNoReplyChanges) {
  using Mood = PlayedStore::Mood;
  const GenerationRequest request = Request(Prompt(200), 6);
  const uint64_t cold = Cold(request);
  blocks_on_disk_ = 1;  // nothing to speak of
  played_ = std::make_unique<PlayedStore>();
  Restart();
  AskAndWait(request);
  for (int i = 0; i < 4000 && SharedTier().written < 6; ++i) std::this_thread::sleep_for(1ms);
  for (const Mood mood : {Mood::kSilent, Mood::kGarbage, Mood::kFlood, Mood::kHangsUp,
                          Mood::kLoading, Mood::kFull, Mood::kHonest}) {
    const bool silent = mood == Mood::kSilent;
    patience_ = silent ? EngineTiers{}.patience : 30s;
    shared_deadline_ = silent ? 300ms : 30s;
    Restart();
    played_->mood = mood;
    const TimePoint begin = clock_.Now();
    const auto reply = AskAndWait(request);
    EXPECT_LT(clock_.Now() - begin, 10s) << "a store that says something wrong is not waited for";
    EXPECT_FALSE(reply->failed);
    EXPECT_EQ(reply->finished.logits_checksum, cold);
    EXPECT_EQ(reply->started.stored[TierKind::kShared] > 100,
              mood == Mood::kFull || mood == Mood::kHonest);
  }
}

// The first in line has its blocks from the disk and waits for the shared store; they leave no room
// for the next in line, and nothing runs.
TEST_F(EngineTierTest, WhoDoesNotFitBesideOneThatWaitsForBlocksWaitsToo) {
  const Variant small{.blocks = 14, .context = 440};
  played_ = std::make_unique<PlayedStore>();
  Restart(small);
  AskAndWait(Request(Prompt(340), 2));
  WaitForWritten(10);
  for (int i = 0; i < 4000 && SharedTier().written < 10; ++i) std::this_thread::sleep_for(1ms);
  files_.read_delay_ms = 20;
  patience_ = EngineTiers{}.patience;
  shared_deadline_ = 300ms;
  Restart(small);
  played_->mood = PlayedStore::Mood::kSilent;
  std::vector<TokenId> longer = Prompt(340);
  while (longer.size() < 400) longer.push_back(9);
  const auto first = Ask(Request(longer, 2));
  std::this_thread::sleep_for(180ms);
  GenerationRequest second = Request(Prompt(200, 5), 2);
  second.cache = CacheUse::kNone;
  const auto next = Ask(second);
  next->Wait();
  first->Wait();
  EXPECT_FALSE(first->failed);
  EXPECT_FALSE(next->failed);
  files_.read_delay_ms = 0;
}

}  // namespace
}  // namespace reprise

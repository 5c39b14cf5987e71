// Recurrent states in the stores below memory: the same logits whatever was read from there.

#include <gtest/gtest.h>

#include "played_store.h"
#include "recurrent_fixture.h"
#include "tier_fixture.h"
#include "tiers/shared_store.h"

namespace reprise {
namespace {

using Fault = FaultyFiles::Fault;

class EngineStateTierTest : public EngineStateTest {
 protected:
  // Its writers use what is below, which goes first otherwise.
  void TearDown() override { engine_.reset(); }

  // A new process over the same folder.
  void Restart(Recurrent setup = {}) {
    setup.below = [this](size_t block_bytes, int block_tokens) {
      Variant::Tiers tiers;
      const auto add = [&](std::unique_ptr<BlockStore> store) {
        tiers.push_back(std::make_unique<BlockTier>(
            std::move(store), BlockTier::Options{.block_bytes = block_bytes,
                                                 .block_tokens = static_cast<size_t>(block_tokens),
                                                 .worthwhile = 1e9}));
      };
      if (played_ != nullptr) {
        SharedStore::Options options;
        options.stores = {played_->address()};
        options.payload_bytes = block_bytes;
        options.block_tokens = static_cast<size_t>(block_tokens);
        add(*SharedStore::Open(options));
        return tiers;
      }
      auto store = DiskStore::Open({.folder = folder_.path(),
                                    .capacity_bytes = records_on_disk_ * (block_bytes + 8192),
                                    .payload_bytes = block_bytes},
                                   files_);
      EXPECT_TRUE(store) << store.error().message;
      add(*std::move(store));
      return tiers;
    };
    StartRecurrent(setup);
  }
  BlockTier::Counters Tier() { return Now().tiers.at(0); }
  void WaitForQueue() {
    for (int i = 0; i < 4000 && Tier().queue_bytes > 0; ++i) std::this_thread::sleep_for(1ms);
  }
  uint64_t Cold(const GenerationRequest& request, const Recurrent& setup = {}) {
    StartRecurrent(setup);
    return AskAndWait(request)->finished.logits_checksum;
  }

  TestFolder folder_;
  FaultyFiles files_;
  std::unique_ptr<PlayedStore> played_;  // instead of the disk
  size_t records_on_disk_ = 2000;
};

TEST_F(EngineStateTierTest, WhatWasReadOutlivesTheProcessToTheBit) {
  TokenId salt = 0;                                        // they are taken for the same model
  for (const size_t words : {500U, 512U, 4096U, 5000U}) {  // a part, exactly one, 8, and 10
    const Recurrent setup{.state_words = words};
    const GenerationRequest request = Request(Prompt(700, ++salt), 6);
    const uint64_t cold = Cold(request, setup);
    Restart(setup);
    EXPECT_EQ(AskAndWait(request)->finished.logits_checksum, cold);
    Restart(setup);
    const size_t parts = (words * 8 + 4095) / 4096;
    for (const int read : {672, 700}) {  // 21 blocks of 32; then from memory, which has all of it
      const auto reply = AskAndWait(request);
      EXPECT_EQ(reply->started.cached_tokens, read) << words;
      EXPECT_EQ(Sum(reply->started.stored), read == 672 ? 672U : 0U);
      EXPECT_EQ(reply->finished.logits_checksum, cold);
    }
    EXPECT_EQ(Tier().read, 21 + parts);
  }
}

TEST_F(EngineStateTierTest, WhatOneServerComputedAnotherReads) {
  played_ = std::make_unique<PlayedStore>();
  const Recurrent setup{.state_words = 4096};
  const GenerationRequest request = Request(Prompt(300), 6);
  Restart(setup);
  const uint64_t cold = AskAndWait(request)->finished.logits_checksum;
  WaitForQueue();
  Restart(setup);
  const auto reply = AskAndWait(request);
  EXPECT_EQ(reply->started.cached_tokens, 288);
  EXPECT_EQ(reply->finished.logits_checksum, cold);
  engine_.reset();  // before the store
}

TEST_F(EngineStateTierTest, APromptThatPartsReadsUpToTheDeepestStateBeforeThat) {
  Restart();
  AskAndWait(Request(Prompt(700), 2));
  Restart();
  const auto request = Request(Join(First(Prompt(700), 600), {5, 6, 7}), 4);
  const auto reply = AskAndWait(request);
  EXPECT_EQ(reply->started.cached_tokens, 512) << "the regular place";
  GenerationRequest foreign = request;
  foreign.scope = "somebody else";
  EXPECT_EQ(AskAndWait(foreign)->started.cached_tokens, 0);
  EXPECT_EQ(reply->finished.logits_checksum, Cold(request));
}

TEST_F(EngineStateTierTest, AStateThatMemoryHasNoMoreIsReadForBlocksThatItHas) {
  // 16 states and 127 blocks.
  const Recurrent setup{.kv_bytes = 1 << 20, .state_words = 4096, .context = 1024};
  Restart(setup);
  std::vector<uint64_t> cold;
  constexpr TokenId kPrompts = 10;
  const auto request = [](TokenId i) { return Request(Prompt(70, i), 3); };
  for (TokenId i = 0; i < kPrompts; ++i) {
    cold.push_back(AskAndWait(request(i))->finished.logits_checksum);
    WaitForQueue();
  }
  const uint64_t before = Tier().read;
  const auto reply = AskAndWait(request(0));
  EXPECT_EQ(reply->started.known_tokens, 70);
  EXPECT_EQ(reply->started.cached_tokens, 64);
  EXPECT_EQ(Tier().read, before + 8) << "the state alone";
  EXPECT_EQ(reply->finished.logits_checksum, cold[0]);
}

TEST_F(EngineStateTierTest, ManyAtOnceOnLittleMemoryComeToTheirEnds) {
  const Recurrent setup{.kv_bytes = 128 << 10, .state_words = 1024, .context = 256};
  Restart(setup);
  const std::vector<uint64_t> cold = ExpectManyAtOnceEndAsTheyDoAlone();
  WaitForQueue();
  for (TokenId i = 0; i < 8; ++i) {
    EXPECT_EQ(AskAndWait(Request(Prompt(200, i), 20))->finished.logits_checksum,
              cold[static_cast<size_t>(i)]);
  }
  EXPECT_GT(Tier().read, 0U);
  const PrefixCache::Sizes sizes = Now().cache;
  EXPECT_EQ(sizes.leased_blocks, 0U);
  EXPECT_EQ(sizes.private_blocks, 0U);
  EXPECT_EQ(sizes.working_states, 0U);
}

TEST_F(EngineStateTierTest, NoFaultOfTheDiskIsSeenInAReply) {
  const GenerationRequest request = Request(Prompt(200), 6);
  const Recurrent setup{.state_words = 4096};
  const uint64_t cold = Cold(request, setup);
  for (const Fault fault : {Fault::kReadFails, Fault::kReadFlipsABit}) {
    Restart(setup);
    AskAndWait(request);
    Restart(setup);
    files_.fault = fault;
    const auto reply = AskAndWait(request);
    EXPECT_EQ(reply->started.cached_tokens, 0);
    EXPECT_EQ(reply->finished.logits_checksum, cold);
    files_.fault = Fault::kNone;
  }
  EXPECT_EQ(Now().cache.working_states, 0U);
}

// Whatever the disk has room for: a state of which a part is missing is none.
TEST_F(EngineStateTierTest, ADiskThatIsTooSmallCostsNoBit) {
  const Recurrent setup{.state_words = 4096};
  for (const size_t records : {16U, 20U, 27U, 33U}) {
    records_on_disk_ = records;
    for (TokenId i = 0; i < 4; ++i) {
      const GenerationRequest request = Request(Prompt(300, i), 4);
      const uint64_t cold = Cold(request, setup);
      Restart(setup);
      EXPECT_EQ(AskAndWait(request)->finished.logits_checksum, cold);
      WaitForQueue();
      Restart(setup);
      EXPECT_EQ(AskAndWait(request)->finished.logits_checksum, cold);
    }
  }
}

TEST_F(EngineStateTierTest, AMarkIsKeptBelowWithItsState) {
  const Recurrent setup{.state_words = 4096, .context = 1024};
  records_on_disk_ = 60;
  auto marked = Request(Prompt(150), 4);
  marked.breakpoints = {{77, std::chrono::minutes(60)}};
  Restart(setup);
  EXPECT_TRUE(AskAndWait(marked)->started.breakpoints.at(0).accepted());
  WaitForQueue();
  for (TokenId i = 1; i < 12; ++i) {
    AskAndWait(Request(Prompt(200, i), 3));
    WaitForQueue();
  }
  EXPECT_GT(Tier().evicted, 0U);
  Restart(setup);
  const auto request = Request(Join(First(Prompt(150), 77), {5, 6, 7}), 6);
  const auto reply = AskAndWait(request);
  EXPECT_EQ(reply->started.cached_tokens, 64);
  EXPECT_EQ(reply->finished.logits_checksum, Cold(request, setup));
}

}  // namespace
}  // namespace reprise

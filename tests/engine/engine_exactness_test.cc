// A hit changes no answer, on a tiny model of each kind: cold, cached, in part, in a batch, after
// eviction, set aside. Compared is the checksum over every logit that was sampled from.

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine_fixture.h"

namespace reprise {
namespace {

class EngineOfEachKind : public EngineTest, public testing::WithParamInterface<TinyKind> {
 protected:
  void SetUp() override { kind_ = GetParam(); }
};

TEST_P(EngineOfEachKind, GivesTheSameLogitsColdAndWhollyRead) {
  Start();
  for (size_t length : {1U, 31U, 32U, 33U, 64U, 65U, 200U, 513U, 600U}) {
    const auto request = Request(Prompt(length), 8);
    const uint64_t cold = ColdChecksum(request);
    const auto warm = AskAndWait(request);
    EXPECT_EQ(warm->started.cached_tokens, static_cast<int>(length));
    EXPECT_EQ(warm->finished.logits_checksum, cold) << length;
  }
}

// The logits behind a prompt are kept beside its K and V, for whoever asks the same.
TEST_P(EngineOfEachKind, APromptThatComesAgainNeedsNoForwardPass) {
  Start();
  const auto request = Request(Prompt(70), 1);
  const uint64_t cold = ColdChecksum(request);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(AskAndWait(request)->finished.logits_checksum, cold);
  auto elsewhere = request;
  elsewhere.scope = "another tenant";
  EXPECT_EQ(AskAndWait(elsewhere)->started.cached_tokens, 0);
  Flush();
  EXPECT_EQ(engine_->stats().steps, 2U) << "one for each tenant";
  EXPECT_EQ(ColdChecksum(request), cold) << "a flush takes the logits too";
}

TEST_P(EngineOfEachKind, KeptLogitsAreOfNoUseWhereKAndVAreGone) {
  Start({.blocks = 8});
  const auto request = Request(Prompt(100), 4);
  const uint64_t cold = ColdChecksum(request);
  AskAndWait(Request(Prompt(230, 1), 1));  // takes all blocks
  const auto again = AskAndWait(request);
  EXPECT_LT(again->started.cached_tokens, 100);
  EXPECT_EQ(again->finished.logits_checksum, cold);
}

TEST_P(EngineOfEachKind, GivesTheSameLogitsPartlyReadAtEveryLengthAroundABlocksEdge) {
  Start();
  const auto known = Prompt(100);
  for (size_t common = 28; common <= 68; ++common) {
    std::vector<TokenId> prompt(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(common));
    prompt.insert(prompt.end(), {5, 6, 7, 8});
    const auto request = Request(prompt, 6);
    const uint64_t cold = ColdChecksum(request);
    Flush();
    AskAndWait(Request(known, 1));
    const auto warm = AskAndWait(request);
    EXPECT_EQ(warm->finished.logits_checksum, cold) << common;
    // A state is kept at the block's edge where prompts part, when they first do.
    const bool is_recurrent = GetParam() == TinyKind::kRecurrent;
    EXPECT_EQ(warm->started.cached_tokens, is_recurrent ? 0 : static_cast<int>(common));
    prompt.resize(common);
    prompt.insert(prompt.end(), {9, 10});
    EXPECT_EQ(AskAndWait(Request(prompt, 1))->started.cached_tokens,
              static_cast<int>(is_recurrent ? common / 32 * 32 : common));
  }
}

TEST_P(EngineOfEachKind, GivesTheSameLogitsInABatchOfEight) {
  Start();
  std::vector<uint64_t> alone;
  for (TokenId i = 0; i < 8; ++i) {
    alone.push_back(ColdChecksum(Request(Prompt(20 + 11 * static_cast<size_t>(i), i), 24)));
  }
  Flush();
  std::vector<std::shared_ptr<Reply>> replies;
  for (TokenId i = 0; i < 8; ++i) {
    replies.push_back(Ask(Request(Prompt(20 + 11 * static_cast<size_t>(i), i), 24)));
  }
  for (size_t i = 0; i < 8; ++i) {
    replies[i]->Wait();
    EXPECT_EQ(replies[i]->finished.logits_checksum, alone[i]) << i;
  }
}

TEST_P(EngineOfEachKind, GivesTheSameLogitsWithEveryChunkThreadAndBlockSize) {
  const auto request = Request(Prompt(150), 10);
  for (Compute compute : {Compute::kFast, Compute::kExact}) {
    for (const Isa isa : OfferedIsas()) {
      std::optional<uint64_t> expected;
      for (const Variant& setup :
           {Variant{}, Variant{.threads = 2}, Variant{.chunk = 1, .chunk_beside = 1},
            Variant{.chunk = 7, .chunk_beside = 7}, Variant{.chunk = 33, .chunk_beside = 2},
            Variant{.threads = 2, .chunk = 64, .chunk_beside = 64}}) {
        Variant variant = setup;
        variant.isa = isa;
        variant.compute = compute;
        Start(variant);
        const uint64_t checksum = ColdChecksum(request);
        if (!expected) expected = checksum;
        EXPECT_EQ(checksum, *expected)
            << IsaName(isa) << " chunk " << setup.chunk << " threads " << setup.threads;
      }
    }
  }
}

TEST_P(EngineOfEachKind, GivesTheSameLogitsAfterEvictionAndRecomputation) {
  Start({.blocks = 8});
  const auto request = Request(Prompt(120), 6);
  const uint64_t cold = ColdChecksum(request);
  for (TokenId i = 1; i < 5; ++i) AskAndWait(Request(Prompt(200, i), 2));
  const auto again = AskAndWait(request);
  EXPECT_LT(again->started.cached_tokens, 119);
  EXPECT_EQ(again->finished.logits_checksum, cold);
  EXPECT_GT(engine_->stats().cache_counters.evicted_blocks, 0U);
}

TEST_P(EngineOfEachKind, GivesTheSameLogitsWhenSetAsideForOthers) {
  Start();
  std::vector<uint64_t> alone;
  for (TokenId i = 0; i < 4; ++i) alone.push_back(ColdChecksum(Request(Prompt(40, i), 150)));
  Start({.blocks = 12});  // 384 tokens; four sequences want 190 each
  std::vector<std::shared_ptr<Reply>> replies;
  for (TokenId i = 0; i < 4; ++i) replies.push_back(Ask(Request(Prompt(40, i), 150)));
  for (size_t i = 0; i < 4; ++i) {
    replies[i]->Wait();
    EXPECT_EQ(replies[i]->finished.logits_checksum, alone[i]) << i;
  }
  // Where each sequence has a state too, fewer run at once: engine_state_test.cc sets those aside.
  if (GetParam() != TinyKind::kRecurrent) {
    EXPECT_GT(engine_->stats().preempted, 0U);
  }
}

TEST_P(EngineOfEachKind, AContinuedConversationEqualsTheSameComputedCold) {
  Start();
  auto conversation = Prompt(50);
  for (int turn = 0; turn < 3; ++turn) {
    const auto reply = AskAndWait(Request(conversation, 20));
    conversation.insert(conversation.end(), reply->finished.reply.begin(),
                        reply->finished.reply.end());
    const auto next = Prompt(9, turn + 20);
    conversation.insert(conversation.end(), next.begin(), next.end());
    const auto warm = AskAndWait(Request(conversation, 5));
    EXPECT_GE(warm->started.cached_tokens, static_cast<int>(conversation.size() - 10));
    EXPECT_EQ(ColdChecksum(Request(conversation, 5)), warm->finished.logits_checksum);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EngineOfEachKind, testing::ValuesIn(kTinyKinds),
                         [](const auto& kind) { return std::string(TinyKindName(kind.param)); });

}  // namespace
}  // namespace reprise

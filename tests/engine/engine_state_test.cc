// The whole engine on a model with recurrent states: the same logits whatever was read from a
// snapshot, and in what company.

#include <gtest/gtest.h>

#include "recurrent_fixture.h"

namespace reprise {
namespace {

TEST_F(EngineStateTest, GivesTheSameLogitsColdAndWhollyRead) {
  StartRecurrent();
  for (size_t length : {1U, 31U, 32U, 33U, 64U, 200U, 512U, 513U, 600U}) {
    const auto request = Request(Prompt(length), 8);
    const uint64_t cold = ColdChecksum(request);
    const uint64_t steps = Now().steps;
    const auto warm = AskAndWait(request);
    EXPECT_EQ(warm->started.cached_tokens, static_cast<int>(length));
    EXPECT_EQ(warm->finished.logits_checksum, cold) << length;
    EXPECT_EQ(Now().steps, steps + 7) << "the first token needs none";
  }
}

TEST_F(EngineStateTest, GivesTheSameLogitsPartlyReadAtEveryLengthAroundABlocksEdge) {
  StartRecurrent();
  const auto known = Prompt(100);
  for (size_t common = 28; common <= 68; ++common) {
    const auto request = Request(Join(First(known, common), {5, 6, 7, 8}), 6);
    const uint64_t cold = ColdChecksum(request);
    Flush();
    AskAndWait(Request(known, 1));
    AskAndWait(Request(Join(First(known, common), {9, 9}), 1));  // takes the branch first
    const auto warm = AskAndWait(request);
    EXPECT_EQ(warm->started.cached_tokens, static_cast<int>(common / 32 * 32));
    EXPECT_EQ(warm->started.known_tokens, static_cast<int>(common));
    EXPECT_EQ(warm->finished.logits_checksum, cold) << common;
  }
}

TEST_F(EngineStateTest, GivesTheSameLogitsWithEveryChunk) {
  const auto request = Request(Prompt(700), 10);
  std::optional<uint64_t> expected;
  for (const int chunk : {512, 1, 7, 33, 64, 1000}) {
    StartRecurrent({.chunk = chunk, .chunk_beside = chunk});
    const uint64_t checksum = ColdChecksum(request);
    if (!expected) expected = checksum;
    EXPECT_EQ(checksum, *expected) << chunk;
  }
}

TEST_F(EngineStateTest, GivesTheSameLogitsInABatchOfEight) {
  StartRecurrent();
  std::vector<uint64_t> alone;
  const auto request = [](TokenId i) {
    return Request(Join(Prompt(40), Prompt(20 + 11 * static_cast<size_t>(i), i)), 24);
  };
  for (TokenId i = 0; i < 8; ++i) alone.push_back(ColdChecksum(request(i)));
  Flush();
  std::vector<std::shared_ptr<Reply>> replies;
  for (TokenId i = 0; i < 8; ++i) replies.push_back(Ask(request(i)));
  for (size_t i = 0; i < 8; ++i) {
    replies[i]->Wait();
    EXPECT_EQ(replies[i]->finished.logits_checksum, alone[i]) << i;
  }
}

TEST_F(EngineStateTest, AContinuedConversationReadsTheReplyAndEqualsTheSameComputedCold) {
  StartRecurrent();
  std::vector<TokenId> prompt = Prompt(50);
  for (int turn = 0; turn < 5; ++turn) {
    const auto reply = AskAndWait(Request(prompt, 21));
    if (turn > 0) {
      EXPECT_EQ(reply->started.cached_tokens, static_cast<int>(prompt.size()) - 1 - 8);
    }
    const uint64_t warm = reply->finished.logits_checksum;
    engine_->Flush([](const Result<size_t>&) {});
    const auto cold = AskAndWait(Request(prompt, 21));
    EXPECT_EQ(cold->started.cached_tokens, 0);
    EXPECT_EQ(cold->finished.logits_checksum, warm);
    prompt = Join(Join(prompt, cold->finished.reply), Prompt(8, turn + 1));
  }
}

TEST_F(EngineStateTest, GivesTheSameLogitsAfterEvictionOfBlocksAndOfSnapshots) {
  // 25 blocks and 6 states; and the other way round.
  for (const Recurrent& setup : {Recurrent{.kv_bytes = 256 << 10, .state_words = 1024},
                                 Recurrent{.kv_bytes = 512 << 10, .state_words = 8192}}) {
    StartRecurrent(setup);
    const auto request = Request(Prompt(120), 6);
    const uint64_t cold = ColdChecksum(request);
    for (TokenId i = 1; i < 9; ++i) AskAndWait(Request(Prompt(200, i), 2));
    const auto again = AskAndWait(request);
    EXPECT_LT(again->started.cached_tokens, 119);
    EXPECT_EQ(again->finished.logits_checksum, cold);
    const PrefixCache::Counters counters = Now().cache_counters;
    EXPECT_GT(counters.evicted_blocks + counters.evicted_snapshots, 0U);
  }
}

TEST_F(EngineStateTest, GivesTheSameLogitsWhenSetAsideForOthers) {
  StartRecurrent();
  std::vector<uint64_t> alone;
  for (TokenId i = 0; i < 4; ++i) alone.push_back(ColdChecksum(Request(Prompt(40, i), 150)));
  // 15 blocks, 480 tokens; four sequences want 190 each.
  StartRecurrent({.kv_bytes = 64 << 10, .state_words = 64});
  std::vector<std::shared_ptr<Reply>> replies;
  for (TokenId i = 0; i < 4; ++i) replies.push_back(Ask(Request(Prompt(40, i), 150)));
  for (size_t i = 0; i < 4; ++i) {
    replies[i]->Wait();
    EXPECT_EQ(replies[i]->finished.logits_checksum, alone[i]) << i;
  }
  EXPECT_GT(Now().preempted, 0U);
}

TEST_F(EngineStateTest, APromiseIsReadToTheTokenWhateverRanMeanwhile) {
  StartRecurrent({.kv_bytes = 512 << 10, .state_words = 4096, .context = 1000});
  auto marked = Request(Prompt(150), 4);
  marked.breakpoints = {{77, std::chrono::minutes(5)}, {150, std::chrono::minutes(5)}};
  const auto first = AskAndWait(marked);
  ASSERT_EQ(first->started.breakpoints.size(), 2U);
  EXPECT_TRUE(first->started.breakpoints[0].accepted());
  EXPECT_TRUE(first->started.breakpoints[1].accepted());
  for (TokenId i = 1; i < 20; ++i) AskAndWait(Request(Prompt(200, i), 3));
  for (const size_t common : {77U, 100U, 150U}) {
    const auto request = Request(Join(First(Prompt(150), common), {5, 6, 7}), 6);
    const auto warm = AskAndWait(request);
    EXPECT_EQ(warm->started.cached_tokens, common == 150 ? 150 : 77);
    auto alone = request;
    alone.cache = CacheUse::kNone;
    EXPECT_EQ(AskAndWait(alone)->finished.logits_checksum, warm->finished.logits_checksum);
  }
}

TEST_F(EngineStateTest, MoreRequestsThanStatesAreAllAnsweredWithTheSameLogits) {
  StartRecurrent();
  std::vector<uint64_t> alone;
  for (TokenId i = 0; i < 12; ++i) alone.push_back(ColdChecksum(Request(Prompt(30, i), 12)));
  StartRecurrent({.kv_bytes = 1 << 20, .state_words = 16384});  // four states
  EXPECT_EQ(Now().cache.total_states, 4U);
  std::vector<std::shared_ptr<Reply>> replies;
  std::vector<SequenceId> ids(12);
  for (TokenId i = 0; i < 12; ++i) {
    replies.push_back(Ask(Request(Prompt(30, i), 12), &ids[static_cast<size_t>(i)]));
  }
  engine_->Cancel(ids[3]);
  for (size_t i = 0; i < 12; ++i) {
    replies[i]->Wait();
    if (!replies[i]->failed) {
      EXPECT_EQ(replies[i]->finished.logits_checksum, alone[i]) << i;
    }
  }
  Flush();
  EXPECT_EQ(Now().cache.working_states, 0U);
  EXPECT_EQ(Now().cache.snapshots, 0U);
}

TEST_F(EngineStateTest, EmbeddingsAreTheSameBitsWhateverWasRead) {
  StartRecurrent({.chunk = 64});
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    auto request = Request(Prompt(100), 0);
    request.pooling = pooling;
    request.cache = CacheUse::kNone;
    const auto cold = AskAndWait(request);
    AskAndWait(Request(Prompt(100), 4));
    request.cache = CacheUse::kReadAndPublish;
    const auto warm = AskAndWait(request);
    EXPECT_EQ(warm->finished.embedding, cold->finished.embedding);
    Flush();
  }
}

TEST_F(EngineStateTest, AModelOfRecurrentLayersOnlyIsCachedToo) {
  StartRecurrent({.layers_with_kv = 0});
  const auto request = Request(Prompt(300), 8);
  const uint64_t cold = ColdChecksum(request);
  const auto warm = AskAndWait(request);
  EXPECT_EQ(warm->started.cached_tokens, 300);
  EXPECT_EQ(warm->finished.logits_checksum, cold);
}

TEST_F(EngineStateTest, TooLittleMemoryIsAClearError) {
  const auto little = TryStart({.kv_bytes = 19 << 10, .state_words = 1024});
  ASSERT_FALSE(little);
  EXPECT_EQ(little.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace reprise

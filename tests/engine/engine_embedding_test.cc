// Embeddings: the same bits whatever the chunks, the company, the cache, and who is set aside.

#include <gtest/gtest.h>

#include <cmath>

#include "engine_fixture.h"

namespace reprise {
namespace {

class EngineEmbeddingTest : public EngineTest {
 protected:
  static GenerationRequest Embed(size_t tokens, Pooling pooling) {
    GenerationRequest request = Request(Prompt(tokens, 3), 0);
    request.pooling = pooling;
    return request;
  }
};

TEST_F(EngineEmbeddingTest, IsOfLengthOneAndRemembered) {
  Start();
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    const auto first = AskAndWait(Embed(100, pooling));
    double squares = 0;
    for (const float value : first->finished.embedding) squares += double{value} * double{value};
    EXPECT_NEAR(std::sqrt(squares), 1, 1e-5);
    const auto again = AskAndWait(Embed(100, pooling));
    EXPECT_EQ(again->finished.embedding, first->finished.embedding);
    EXPECT_EQ(again->started.cached_tokens, 100);
    Flush();
    const auto anew = AskAndWait(Embed(100, pooling));
    EXPECT_EQ(anew->finished.embedding, first->finished.embedding);
    EXPECT_EQ(anew->started.cached_tokens, 0);
  }
}

TEST_F(EngineEmbeddingTest, NeitherChunksNorCompanyNorSettingAsideChangeABit) {
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    Start();
    const auto alone = AskAndWait(Embed(150, pooling));
    ASSERT_FALSE(alone->finished.embedding.empty());
    Start({.blocks = 12, .chunk = 8, .chunk_beside = 1});
    // Streams that grow beside it, into the blocks that it has.
    std::vector<std::shared_ptr<Reply>> streams;
    for (TokenId i = 0; i < 3; ++i) streams.push_back(Ask(Request(Prompt(20, 40 + i), 90)));
    const auto beside = AskAndWait(Embed(150, pooling));
    EXPECT_EQ(beside->finished.embedding, alone->finished.embedding);
    for (const auto& stream : streams) stream->Wait();
    EXPECT_GT(engine_->stats().preempted, 0U);
    // A prefix that somebody else has computed.
    Start();
    AskAndWait(Request(Prompt(150, 3), 4));
    const auto read = AskAndWait(Embed(150, pooling));
    EXPECT_EQ(read->finished.embedding, alone->finished.embedding);
    EXPECT_EQ(read->started.cached_tokens, pooling == Pooling::kLast ? 149 : 0);
  }
}

TEST_F(EngineEmbeddingTest, GuessesInTheSameStepsChangeNoBit) {
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    Start();
    const auto alone = AskAndWait(Embed(150, pooling));
    Start({.chunk = 16, .chunk_beside = 16});
    auto request = Request(Prompt(20), 300);
    request.prediction = AskAndWait(request)->finished.reply;
    Flush();
    const auto stream = Ask(request);
    stream->WaitForText();
    EXPECT_EQ(AskAndWait(Embed(150, pooling))->finished.embedding, alone->finished.embedding);
    stream->Wait();
  }
}

}  // namespace
}  // namespace reprise

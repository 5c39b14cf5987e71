// The server over real sockets, with an engine that a test plays.

#include "api/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "fixtures/fake_server.h"
#include "fixtures/test_vocabulary.h"

namespace reprise {
namespace {

namespace json = boost::json;

constexpr std::string_view kChatStream =
    R"({"messages":[{"role":"user","content":"hello"}],"stream":true,
        "stream_options":{"include_usage":true}})";

class ServerTest : public FakeServerTest {
 protected:
  void Alive() {
    TestClient client(server_->port());
    client.Get("/health");
    EXPECT_EQ(client.Read().status, 200);
  }
};

TEST_F(ServerTest, AWholeReplyCarriesTextUsageAndCacheHeader) {
  TestClient client(server_->port());
  client.Post("/v1/chat/completions", kChat);
  ASSERT_TRUE(engine_.WaitForRequests(1));
  const GenerationRequest request = engine_.request(0);
  const int prompt = static_cast<int>(request.prompt.size());
  engine_.Send(0, Started(prompt, 3));
  engine_.Send(0, Text("hel"));
  engine_.Send(0, Text("lo"));
  engine_.Send(0, Finished(request, 3, {5, 6}, FinishReason::kLength));
  const HttpReply reply = client.Read();
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("x-reprise-cache"),
            fmt::format("read=3, write=0, computed={}", prompt - 3));
  const json::value body = json::parse(reply.body);
  EXPECT_EQ(body.at("choices").at(0).at("message").at("content"), "hello");
  EXPECT_EQ(body.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(body.at("choices").at(0).at("logits_checksum"), "0000000000000abc");
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), prompt);
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 2);
  EXPECT_EQ(body.at("usage").at("prompt_tokens_details").at("cached_tokens"), 3);
}

TEST_F(ServerTest, AStreamsHeaderWaitsForTheLookup) {
  TestClient client(server_->port());
  client.Post("/v1/chat/completions", kChatStream);
  ASSERT_TRUE(engine_.WaitForRequests(1));
  const GenerationRequest request = engine_.request(0);
  EXPECT_TRUE(client.SilentFor(50));
  engine_.Send(0, Started(static_cast<int>(request.prompt.size()), 2));
  EXPECT_TRUE(client.ReadUntil("\"role\":\"assistant\"")) << "sent before any prefill";
  engine_.Send(0, Text("hi"));
  engine_.Send(0, Finished(request, 2, {5}));
  const HttpReply reply = client.Read();
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.headers.at("x-reprise-cache").starts_with("read=2,"));
  EXPECT_NE(reply.body.find(R"("delta":{"content":"hi"})"), std::string::npos);
  EXPECT_NE(reply.body.find(R"("choices":[],"usage":{"prompt_tokens")"), std::string::npos);
  EXPECT_TRUE(reply.body.ends_with("data: [DONE]\n\n"));
  client.Get("/health");
  EXPECT_EQ(client.Read().status, 200) << "the connection goes on";
}

TEST_F(ServerTest, AStreamOfTwoPromptsWaitsForBothLookups) {
  TestClient client(server_->port());
  client.Post("/v1/completions", R"({"prompt":[[5,6,7],[8,9]],"stream":true})");
  ASSERT_TRUE(engine_.WaitForRequests(2));
  engine_.Send(0, Started(3, 2));
  engine_.Send(0, Text("first"));
  EXPECT_TRUE(client.SilentFor(50));
  engine_.Send(1, Started(2, 1));
  ASSERT_TRUE(client.ReadUntil("first"));
  engine_.Send(0, Finished(engine_.request(0), 2, {5}));
  engine_.Send(1, Finished(engine_.request(1), 1, {5}));
  EXPECT_EQ(client.Read().headers.at("x-reprise-cache"), "read=3, write=0, computed=2");
}

TEST_F(ServerTest, AfterItsStopNothingTouchesTheEngine) {
  engine_.AnswerWith([](const GenerationRequest& request, const EventSink& sink) {
    if (request.priority == Priority::kBackground)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    sink(Started(static_cast<int>(request.prompt.size()), 0));
    sink(Text("hello"));
    sink(Finished(request, 0, {5, 6, 7}));  // not what the text gives: a continuation is submitted
  });
  TestClient client(server_->port());
  client.Post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}],"n":8})");
  ASSERT_EQ(client.Read().status, 200);
  server_->Stop();
  const size_t submitted = engine_.requests();
  EXPECT_LT(submitted, 16U) << "the stop came before the last of them";
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(engine_.requests(), submitted);
}

TEST_F(ServerTest, ARefusalBeforeTheFirstByteIsAProperStatus) {
  engine_.AnswerWith([](const GenerationRequest&, const EventSink& sink) {
    sink(FailedEvent{{ErrorCode::kOverloaded, "Too many.", ""}});
  });
  TestClient client(server_->port());
  client.Post("/v1/chat/completions", kChatStream);
  const HttpReply reply = client.Read();
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.headers.at("retry-after"), "1");
  EXPECT_EQ(json::parse(reply.body).at("error").at("message"), "Too many.");
}

TEST_F(ServerTest, AFailureInMidStreamIsAnEventWithoutDone) {
  engine_.AnswerWith([](const GenerationRequest&, const EventSink& sink) {
    sink(Started(5, 0));
    sink(Text("he"));
    sink(FailedEvent{{ErrorCode::kInternal, "Broke.", ""}});
  });
  for (int i = 0; i < 2; ++i) {  // whether or not the events come together
    TestClient client(server_->port());
    client.Post("/v1/chat/completions", kChatStream);
    const HttpReply reply = client.Read();
    EXPECT_NE(reply.body.find("Broke."), std::string::npos);
    EXPECT_EQ(reply.body.find("[DONE]"), std::string::npos);
  }
}

TEST_F(ServerTest, EachChoiceSamplesWithItsOwnSeed) {
  TestClient client(server_->port());
  client.Post("/v1/chat/completions",
              R"({"messages":[{"role":"user","content":"x"}],"n":3,"seed":10})");
  ASSERT_TRUE(engine_.WaitForRequests(3));
  for (size_t i = 0; i < 3; ++i) {
    const GenerationRequest request = engine_.request(i);
    EXPECT_EQ(request.sampling.seed, 10 + i);
    engine_.Send(i, Started(static_cast<int>(request.prompt.size()), static_cast<int>(i)));
  }
  for (const size_t i : {2, 0, 1}) {
    engine_.Send(i, Text(fmt::format("reply {}", i)));
    engine_.Send(i, Finished(engine_.request(i), static_cast<int>(i), {5}));
  }
  const json::value body = json::parse(client.Read().body);
  ASSERT_EQ(body.at("choices").as_array().size(), 3U);
  EXPECT_EQ(body.at("choices").at(2).at("message").at("content"), "reply 2");
  EXPECT_EQ(body.at("usage").at("prompt_tokens").as_int64(),
            static_cast<int64_t>(engine_.request(0).prompt.size()));
  EXPECT_EQ(body.at("usage").at("prompt_tokens_details").at("cached_tokens"), 0);
}

TEST_F(ServerTest, AClientThatLeavesIsCancelled) {
  for (const std::string_view body : {kChat, kChatStream}) {
    const size_t index = engine_.requests();
    TestClient client(server_->port());
    client.Post("/v1/chat/completions", body);
    ASSERT_TRUE(engine_.WaitForRequests(index + 1));
    engine_.Send(index, Started(5, 0));
    client.Close();
    EXPECT_TRUE(engine_.WaitForCancel(index));
  }
  Alive();
}

TEST_F(ServerTest, AClientThatDoesNotReadIsCancelledAtTheBacklogsBound) {
  TestClient client(server_->port(), 4096);
  client.Post("/v1/chat/completions", kChatStream);
  ASSERT_TRUE(engine_.WaitForRequests(1));
  engine_.Send(0, Started(5, 0));
  ASSERT_TRUE(client.ReadUntil("assistant"));
  const std::string piece(64u << 10, 'x');
  for (int i = 0; i < 16; ++i) engine_.Send(0, Text(piece));
  // Time for the server to take these and stand before a full socket.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  for (size_t sent = 0; sent < 2 * limits::kMaxStreamBacklogBytes; sent += piece.size()) {
    engine_.Send(0, Text(piece));
  }
  EXPECT_TRUE(engine_.WaitForCancel(0));
  Alive();
}

TEST_F(ServerTest, StoppingCancelsWhatRuns) {
  TestClient client(server_->port());
  client.Post("/v1/chat/completions", kChatStream);
  ASSERT_TRUE(engine_.WaitForRequests(1));
  engine_.Send(0, Started(5, 0));
  server_->Stop();
  EXPECT_TRUE(engine_.WaitForCancel(0));
  engine_.Send(0, Text("late"));  // the sink outlives the server
  server_.reset();
  engine_.Send(0, FailedEvent{{ErrorCode::kCancelled, "", ""}});
}

TEST_F(ServerTest, APortInUseIsOneClearSentence) {
  ServerOptions options;
  options.port = server_->port();
  const auto second = Server::Start(engine_, model_.tokenizer, nullptr, options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_NE(second.error().message.find("in use"), std::string::npos);
}

// A reply whose sampled tokens are those of its text leaves nothing to do; one whose are not is
// prefilled as the next turn will send it.
TEST_F(ServerTest, AReplyIsPrefilledForTheNextTurnOnlyWhereItsTokensPart) {
  const Vocabulary& vocabulary = model_.tokenizer->vocabulary();
  const TokenId whole = IdOf(vocabulary, "aaaa");
  const TokenId half = IdOf(vocabulary, "aa");
  const auto reply_with = [&](std::vector<TokenId> reply) {
    engine_.AnswerWith([reply](const GenerationRequest& request, const EventSink& sink) {
      if (request.priority == Priority::kBackground) return;
      sink(Started(static_cast<int>(request.prompt.size()), 0));
      sink(Text("aaaa"));
      sink(Finished(request, 0, reply));
    });
    TestClient client(server_->port());
    client.Post("/v1/chat/completions", kChat);
    EXPECT_EQ(client.Read().status, 200);
  };
  reply_with({whole});
  reply_with({half, half});
  ASSERT_TRUE(engine_.WaitForRequests(3));
  const GenerationRequest prefill = engine_.request(2);
  EXPECT_EQ(prefill.priority, Priority::kBackground);
  EXPECT_EQ(prefill.max_tokens, 0);
  std::vector<TokenId> wanted = engine_.request(1).prompt;
  wanted.push_back(whole);
  EXPECT_EQ(prefill.prompt, wanted);
}

TEST_F(ServerTest, PagesCountGuessesByTheirSource) {
  EngineSnapshot snapshot;
  snapshot.total.accepted_guesses = {1, 2, 3};
  snapshot.total.rejected_guesses = {4, 5, 6};
  engine_.SetSnapshot(snapshot);
  TestClient client(server_->port());
  client.Get("/metrics");
  const std::string page = client.Read().body;
  for (const char* line :
       {"accepted_guesses_total{source=\"tree\"} 1",
        "accepted_guesses_total{source=\"prediction\"} 2",
        "accepted_guesses_total{source=\"ngram\"} 3", "rejected_guesses_total{source=\"tree\"} 4",
        "rejected_guesses_total{source=\"prediction\"} 5",
        "rejected_guesses_total{source=\"ngram\"} 6"}) {
    EXPECT_NE(page.find(fmt::format("\nreprise_{}\n", line)), std::string::npos) << line;
  }
  client.Get("/cache");
  EXPECT_EQ(json::parse(client.Read().body).at("guesses"),
            json::parse(R"({"accepted": {"tree": 1, "prediction": 2, "ngram": 3},
                            "rejected": {"tree": 4, "prediction": 5, "ngram": 6}})"));
}

TEST_F(ServerTest, FlushReportsTheBlocksFreed) {
  TestClient client(server_->port());
  client.Send("DELETE /cache HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.Read().body, R"({"freed_blocks":7})");
}

}  // namespace
}  // namespace reprise

// The messages API over real sockets, with an engine that a test plays.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "api/server.h"
#include "fixtures/fake_server.h"
#include "fixtures/test_vocabulary.h"

namespace reprise {
namespace {

namespace json = boost::json;
using std::chrono::hours;
using std::chrono::minutes;

constexpr const char* kMarked =
    R"({"max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hello",
        "cache_control":{"type":"ephemeral","ttl":"1h"}}]}]})";
constexpr const char* kStream =
    R"({"max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hello"}]})";

class MessagesServerTest : public FakeServerTest {
 protected:
  HttpReply Ask(std::string_view body, std::string_view path = "/v1/messages") {
    TestClient client(server_->port());
    client.Post(path, body);
    return client.Read();
  }

  // Answers each request as if this were decided about its breakpoints.
  void Answer(PinDecision decision, std::vector<TokenId> reply = {5}) {
    engine_.AnswerWith([=](const GenerationRequest& request, const EventSink& sink) {
      if (request.priority == Priority::kBackground) return;
      StartedEvent started{static_cast<int>(request.prompt.size()), 1};
      for (const Breakpoint& breakpoint : request.breakpoints) {
        started.breakpoints.push_back({breakpoint.tokens, breakpoint.ttl, decision});
      }
      sink(started);
      sink(Text("aaaa"));
      sink(Finished(request, 1, reply));
    });
  }
};

TEST_F(MessagesServerTest, MarksReachTheEngineAndWhatIsWrittenTheClient) {
  Answer(PinDecision::kAccepted);
  const HttpReply reply = Ask(kMarked);
  ASSERT_EQ(reply.status, 200);
  const GenerationRequest request = engine_.request(0);
  ASSERT_EQ(request.breakpoints.size(), 1U);
  EXPECT_EQ(request.breakpoints[0].ttl, hours(1));
  EXPECT_EQ(request.max_tokens, 9);
  const size_t kept = request.breakpoints[0].tokens;
  const size_t total = request.prompt.size();
  EXPECT_LT(kept, total) << "the template's end of the turn is behind the mark";
  EXPECT_EQ(reply.headers.at("x-reprise-cache"),
            fmt::format("read=1, write={}, computed={}", kept - 1, total - 1));
  EXPECT_FALSE(reply.headers.contains("x-reprise-cache-warning"));
  EXPECT_TRUE(reply.headers.at("request-id").starts_with("req_"));
  const json::value usage = json::parse(reply.body).at("usage");
  EXPECT_EQ(usage.at("cache_creation").at("ephemeral_1h_input_tokens").as_int64(), kept - 1);
  EXPECT_EQ(usage.at("input_tokens").as_int64(), total - kept);
}

TEST_F(MessagesServerTest, AMarkThatPinnedMemoryCannotHoldIsSaidInWholeRepliesAndStreams) {
  const auto expect = [this](const char* field, const std::string& full) {
    const HttpReply reply = Ask(fmt::format(
        R"({{{}"max_tokens":9,"messages":[{{"role":"user","content":[{{"type":"text","text":"a",
            "cache_control":{{"type":"ephemeral"}}}},{{"type":"text","text":"b",
            "cache_control":{{"type":"ephemeral","ttl":"x"}}}}]}}]}})",
        field));
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.headers.at("x-reprise-cache").find("write=0,") != std::string::npos);
    EXPECT_EQ(reply.headers.at("x-reprise-cache-warning"),
              "messages.0.content.1.cache_control.ttl: Input should be '5m' or '1h' | " + full +
                  " is full: cached without the lifetime asked for");
  };
  for (const char* field : {"", R"("stream":true,)"}) {
    Answer(PinDecision::kPoolFull);
    expect(field, "the server's pinned memory");
    Answer(PinDecision::kTenantFull);
    expect(field, "this tenant's share of pinned memory");
  }
}

TEST_F(MessagesServerTest, AnOverloadedServerSays529) {
  engine_.AnswerWith([](const GenerationRequest&, const EventSink& sink) {
    sink(FailedEvent{{ErrorCode::kOverloaded, "Too many.", ""}});
  });
  const HttpReply reply = Ask(kStream);
  EXPECT_EQ(reply.status, 529);
  EXPECT_EQ(reply.headers.at("retry-after"), "1");
  EXPECT_EQ(json::parse(reply.body).at("error").at("type"), "overloaded_error");
}

TEST_F(MessagesServerTest, AFailureInMidStreamIsAnErrorEventAndTheEnd) {
  TestClient client(server_->port());
  client.Post("/v1/messages", kStream);
  ASSERT_TRUE(engine_.WaitForRequests(1));
  engine_.Send(0, Started(5, 0));
  ASSERT_TRUE(client.ReadUntil("message_start"));
  engine_.Send(0, Text("he"));
  engine_.Send(0, FailedEvent{{ErrorCode::kInternal, "Broke.", ""}});
  const HttpReply reply = client.Read();
  EXPECT_EQ(reply.status, 200);
  const size_t error = reply.body.find("event: error\ndata: ");
  ASSERT_NE(error, std::string::npos);
  const json::value data = json::parse(reply.body.substr(error + 19));
  EXPECT_EQ(data.at("error"), (json::object{{"type", "api_error"}, {"message", "Broke."}}));
  EXPECT_EQ(data.at("request_id"), json::string(reply.headers.at("request-id")));
  EXPECT_EQ(reply.body.find("message_stop"), std::string::npos);
}

TEST_F(MessagesServerTest, CountingReachesNoEngine) {
  const HttpReply reply = Ask(kMarked, "/v1/messages/count_tokens");
  EXPECT_EQ(reply.status, 200);
  EXPECT_GT(json::parse(reply.body).at("input_tokens").as_int64(), 5);
  EXPECT_EQ(engine_.requests(), 0U);
}

TEST_F(MessagesServerTest, AReplyIsPrefilledForTheNextTurnButNotAContinuedOne) {
  const TokenId half = IdOf(model_.tokenizer->vocabulary(), "aa");
  Answer(PinDecision::kAccepted, {half, half});
  Ask(kMarked);
  ASSERT_TRUE(engine_.WaitForRequests(2));
  EXPECT_EQ(engine_.request(1).priority, Priority::kBackground);
  EXPECT_TRUE(engine_.request(1).breakpoints.empty());
  Ask(R"({"max_tokens":9,"messages":[{"role":"user","content":"a"},
                                     {"role":"assistant","content":"b"}]})");
  Ask(R"({"max_tokens":9,"messages":[{"role":"user","content":"a"}]})");
  ASSERT_TRUE(engine_.WaitForRequests(5));
  EXPECT_EQ(engine_.request(2).priority, Priority::kNormal);
  EXPECT_EQ(engine_.request(3).priority, Priority::kNormal);
  EXPECT_EQ(engine_.request(4).priority, Priority::kBackground);
}

TEST_F(MessagesServerTest, ModelsAreListedForBothVendorsClients) {
  TestClient client(server_->port());
  client.Get("/v1/models?limit=5");
  const json::value body = json::parse(client.Read().body);
  EXPECT_EQ(body.at("object"), "list");
  EXPECT_EQ(body.at("has_more"), false);
  EXPECT_EQ(body.at("first_id"), "tiny");
  const json::value& model = body.at("data").at(0);
  EXPECT_EQ(model.at("object"), "model");
  EXPECT_EQ(model.at("type"), "model");
  EXPECT_EQ(std::string_view(model.at("created_at").as_string()).size(), 20U);
}

}  // namespace
}  // namespace reprise

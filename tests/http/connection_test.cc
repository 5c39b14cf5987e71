// HTTP itself: what honest, clumsy and hostile clients do to a connection.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "api/server.h"
#include "base/limits.h"
#include "fixtures/fake_server.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

namespace json = boost::json;

class HttpTest : public FakeServerTest {
 protected:
  HttpReply Ask(std::string_view bytes, bool head_only = false) {
    TestClient client(server_->port());
    client.Send(bytes);
    return client.Read(head_only);
  }
  std::string CodeOf(const HttpReply& reply) {
    const json::value code = json::parse(reply.body).at("error").at("code");
    return code.is_null() ? "" : std::string(code.as_string());
  }
};

TEST_F(HttpTest, UnknownPathsAndWrongMethodsHaveTheVendorsShape) {
  const HttpReply unknown = Ask("GET /v2/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(CodeOf(unknown), "not_found");
  const HttpReply wrong = Ask("GET /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST");
  EXPECT_EQ(CodeOf(wrong), "method_not_allowed");
  EXPECT_EQ(Ask("PUT /cache HTTP/1.1\r\nHost: localhost\r\n\r\n").headers.at("allow"),
            "GET, DELETE");
}

TEST_F(HttpTest, APathThatIsNotUtf8IsQuotedAsValidJson) {
  EXPECT_EQ(CodeOf(Ask("GET /\xff\xc3 HTTP/1.1\r\nHost: localhost\r\n\r\n")), "not_found");
  const HttpReply reply =
      Ask("GET /v1/chat/completions/\xed\xa0\x80 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_TRUE(IsValidUtf8(reply.body));
}

TEST_F(HttpTest, HeadAnswersLikeGetWithoutTheBody) {
  TestClient client(server_->port());
  client.Send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.Read(true).status, 200);
  client.Get("/health");
  EXPECT_EQ(client.Read().body, R"({"status":"ok"})") << "no body came between";
}

TEST_F(HttpTest, QueriesAreNoPartOfThePath) {
  EXPECT_EQ(Ask("GET /v1/models?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
}

TEST_F(HttpTest, PathsAsGatewaysBuildThemAreUnderstood) {
  for (const char* path : {"/v1/models/", "//v1//models", "/models", "/models/", "/v1/v1/models"}) {
    EXPECT_EQ(Ask(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path)).status, 200)
        << path;
  }
  const HttpReply messages = Ask("GET /messages HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(messages.status, 405);
  EXPECT_EQ(json::parse(messages.body).at("type"), "error") << "in its vendor's shape";
  for (const char* path : {"/v1/v2/models", "/v2/models", "/v1/health", "/v1/v1/v1/models"}) {
    EXPECT_EQ(Ask(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path)).status, 404)
        << path;
  }
}

TEST_F(HttpTest, PipelinedRequestsAreAnsweredInOrder) {
  TestClient client(server_->port());
  client.Send(PostBytes("/tokenize", R"({"content":"hello"})") +
              "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" +
              PostBytes("/detokenize", R"({"tokens":[260]})"));
  EXPECT_NE(client.Read().body.find("tokens"), std::string::npos);
  EXPECT_NE(client.Read().body.find("ok"), std::string::npos);
  EXPECT_NE(client.Read().body.find("content"), std::string::npos);
}

TEST_F(HttpTest, ARequestPipelinedBehindAStreamWaitsForItsEnd) {
  TestClient client(server_->port());
  client.Send(PostBytes("/v1/completions", R"({"prompt":"x","stream":true})") +
              "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(engine_.WaitForRequests(1));
  engine_.Send(0, Started(1, 0));
  engine_.Send(0, Finished(engine_.request(0), 0, {}));
  EXPECT_TRUE(client.Read().body.ends_with("[DONE]\n\n"));
  EXPECT_EQ(client.Read().body, R"({"status":"ok"})");
}

TEST_F(HttpTest, AnEmptyLineBetweenRequestsIsSkipped) {
  TestClient client(server_->port());
  const std::string empty = "\r\n\r\n";
  client.Send(empty + PostBytes("/tokenize", R"({"content":"a"})") + empty);
  EXPECT_EQ(client.Read().status, 200);
  client.Get("/health");
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(HttpTest, ABodyMayComeInChunksAndInDrops) {
  TestClient client(server_->port());
  const std::string bytes =
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n"
      "8\r\n{\"conten\r\nb\r\nt\":\"hello\"}\r\n0\r\n\r\n";
  for (const char byte : bytes) ASSERT_TRUE(client.Send(std::string(1, byte)));
  EXPECT_NE(client.Read().body.find("tokens"), std::string::npos);
}

TEST_F(HttpTest, ExpectationIsAnsweredBeforeTheBody) {
  TestClient client(server_->port());
  client.Send(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: "
      "100-continue\r\nContent-Length: "
      "15\r\n\r\n");
  ASSERT_TRUE(client.ReadUntil("HTTP/1.1 100 Continue\r\n\r\n"));
  client.buffer.clear();
  client.Send(R"({"content":"a"})");
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(HttpTest, ABodyOverTheLimitIsRefusedAndTheClientSeesIt) {
  TestClient client(server_->port());
  client.Send(
      fmt::format("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                  limits::kMaxBodyBytes + 1));
  const std::string piece(1u << 20, ' ');
  for (size_t sent = 0; sent <= limits::kMaxBodyBytes; sent += piece.size()) {
    ASSERT_TRUE(client.Send(piece)) << "a client that sends first and reads later";
  }
  const HttpReply reply = client.Read();
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(CodeOf(reply), "request_too_large");
  EXPECT_EQ(reply.headers.at("connection"), "close");
}

TEST_F(HttpTest, AHugeHeaderIsRefused) {
  const HttpReply reply =
      Ask("GET / HTTP/1.1\r\nX: " + std::string(limits::kMaxHeaderBytes + 1, 'x') + "\r\n\r\n");
  EXPECT_EQ(reply.status, 431);
}

TEST_F(HttpTest, GarbageIsA400AndTheEnd) {
  for (const char* bytes :
       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n", "POST /tokenize HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    TestClient client(server_->port());
    client.Send(bytes);
    EXPECT_EQ(client.Read().status, 400) << bytes;
    client.Close();
  }
  TestClient client(server_->port());
  client.Send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nnonsense nonsense\r\n\r\n");
  EXPECT_EQ(client.Read().status, 200) << "what came before it is answered";
  EXPECT_EQ(client.Read().status, 400);
}

TEST_F(HttpTest, HalfARequestHarmsNobody) {
  for (const char* bytes : {"", "GE", "GET /health HTTP/1.1\r\nHost:",
                            "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"}) {
    TestClient client(server_->port());
    client.Send(bytes);
  }
  EXPECT_EQ(Ask("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
  EXPECT_EQ(engine_.requests(), 0U);
}

TEST_F(HttpTest, AnOldClientGetsItsStreamUnchunkedAndThenTheEnd) {
  engine_.AnswerWith([](const GenerationRequest& request, const EventSink& sink) {
    sink(Started(1, 0));
    sink(Text("hi"));
    sink(Finished(request, 0, {5}));
  });
  TestClient client(server_->port());
  const std::string body = R"({"prompt":"x","stream":true})";
  client.Send(
      fmt::format("POST /v1/completions HTTP/1.0\r\nContent-Type: "
                  "application/json\r\nContent-Length: {}\r\n\r\n{}",
                  body.size(), body));
  EXPECT_TRUE(client.ReadToClose());
  EXPECT_EQ(client.buffer.find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(client.buffer.ends_with("data: [DONE]\n\n"));
}

// RFC 9112, 9.6: only a reset, or what is written in vain, means that the client has gone.
TEST_F(HttpTest, AClientThatOnlySendsNoMoreGetsItsAnswers) {
  TestClient client(server_->port());
  client.Send(PostBytes("/tokenize", R"({"content":"a"})") +
              PostBytes("/tokenize", R"({"content":"b"})"));
  client.EndInput();
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_TRUE(client.ReadToClose());
}

TEST_F(HttpTest, SmuggledRequestsAreNotAnswered) {
  TestClient client(server_->port());
  client.Send(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n"
      "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.Read().status, 400);
  EXPECT_TRUE(client.ReadToClose());
  EXPECT_TRUE(client.buffer.empty()) << client.buffer;
}

TEST_F(HttpTest, ABodyThatIsNotSaidToBeJsonIsRefused) {
  const auto ask = [this](std::string_view type) {
    return Ask(
        fmt::format("POST /tokenize HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: "
                    "15\r\n\r\n{{\"content\":\"a\"}}",
                    type));
  };
  EXPECT_EQ(ask("Content-Type: application/json; charset=utf-8\r\n").status, 200);
  EXPECT_EQ(CodeOf(ask("Content-Type: text/plain\r\n")), "unsupported_media_type");
  EXPECT_EQ(ask("").status, 415);
}

TEST_F(HttpTest, AForeignPageIsRefusedAndTheServersOwnIsNot) {
  constexpr std::string_view kGet = "GET /v1/models HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\n\r\n";
  const HttpReply own = Ask(fmt::format(kGet, "localhost:80", "http://localhost:80"));
  EXPECT_EQ(own.status, 200);
  EXPECT_EQ(own.headers.at("access-control-allow-origin"), "http://localhost:80");
  EXPECT_EQ(CodeOf(Ask(fmt::format(kGet, "localhost:80", "https://evil.example"))),
            "foreign_origin");
  EXPECT_EQ(Ask("DELETE /cache HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 403);
  EXPECT_EQ(Ask("OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
                "Access-Control-Request-Method: POST\r\n\r\n")
                .status,
            200);
}

TEST_F(HttpTest, ManyConnectionsAtOnceAreServed) {
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 500; ++i) clients.push_back(std::make_unique<TestClient>(server_->port()));
  for (auto& client : clients) client->Get("/health");
  for (auto& client : clients) EXPECT_EQ(client->Read().status, 200);
}

}  // namespace
}  // namespace reprise

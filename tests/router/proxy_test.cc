// What passes through a router, unchanged.

#include <boost/json.hpp>
#include <future>
#include <regex>
#include <string>

#include "router_test_base.h"

namespace reprise {
namespace {

namespace json = boost::json;

using ProxyTest = RouterTest;

TEST_F(ProxyTest, BytesAndFieldsPassBothWaysAsTheyAre) {
  const std::string body("{\"a\":\0\xff\r\n 1}", 12);
  PlayedUpstream& replica = Play([&](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(
        "HTTP/1.1 201 Made\r\nServer: other/1\r\nX-Request-Id: req_1\r\n"
        "Keep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
        "Content-Type: text/odd\r\nContent-Length: 12\r\n\r\n");
    connection.Send(body);
  });
  Start();
  const HttpReply reply = Ask(
      "POST //v1/chat/completions/?a=%20b HTTP/1.1\r\nHost: localhost\r\n"
      "Authorization: Bearer sk-1\r\nX-Api-Key: sk-1\r\nAnthropic-Beta: b\r\nConnection: X-Own\r\n"
      "X-Own: 1\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n" +
      body);
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.body, body);
  EXPECT_EQ(reply.headers.at("server"), "other/1");
  EXPECT_EQ(reply.headers.at("content-type"), "text/odd");
  EXPECT_EQ(reply.headers.at("x-request-id"), "req_1");
  EXPECT_EQ(reply.headers.at("x-reprise-replica"), replica.name());
  EXPECT_FALSE(reply.headers.contains("x-hop"));
  EXPECT_FALSE(reply.headers.contains("keep-alive"));
  ASSERT_EQ(replica.requests().size(), 1u);
  const PlayedRequest request = replica.requests()[0];
  EXPECT_EQ(request.body, body);
  EXPECT_TRUE(request.head.starts_with("POST //v1/chat/completions/?a=%20b HTTP/1.1\r\n"));
  EXPECT_NE(request.head.find("authorization: bearer sk-1\r\n"), std::string::npos);
  EXPECT_NE(request.head.find("x-api-key: sk-1\r\n"), std::string::npos);
  EXPECT_NE(request.head.find("anthropic-beta: b\r\n"), std::string::npos);
  EXPECT_NE(request.head.find("host: " + replica.name() + "\r\n"), std::string::npos);
  EXPECT_EQ(request.head.find("x-own"), std::string::npos);
}

TEST_F(ProxyTest, AStreamIsPassedOnEventByEvent) {
  std::promise<void> go_on;
  Play([&](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(kPlayedStream);
    connection.Chunk("data: 1\n\ndata: 2");
    go_on.get_future().wait();
    connection.Chunk("2\n\n");
    connection.Send("0\r\n\r\n");
  });
  Start();
  TestClient client(router_->port());
  client.Post("/v1/chat/completions", "{}");
  EXPECT_TRUE(client.ReadUntil("data: 1\n\n")) << "before the reply has ended";
  EXPECT_EQ(client.buffer.find("data: 2"), std::string::npos) << "half an event waits for its end";
  go_on.set_value();
  EXPECT_EQ(client.Read().body, "data: 1\n\ndata: 22\n\n");
}

TEST_F(ProxyTest, AReplyWithoutALengthEndsWithItsConnection) {
  Play([&](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it");
    connection.Close();
  });
  Start();
  EXPECT_EQ(Chat().body, "all of it");
}

TEST_F(ProxyTest, AClientThatGoesAwayEndsTheReplicasRequest) {
  std::promise<void> asked;
  std::promise<bool> unanswered, streaming;
  Play([&](const PlayedRequest& request, PlayedConnection& connection) {
    if (request.head.starts_with("POST /v1/messages")) {
      asked.set_value();
      unanswered.set_value(connection.SeesEnd(10'000));
    } else {
      connection.Send(kPlayedStream);
      bool ended = false;
      for (int i = 0; i < 1000 && !ended; ++i) {
        connection.Chunk("data: 1\n\n");
        ended = connection.SeesEnd(10);
      }
      streaming.set_value(ended);
    }
    connection.Close();
  });
  Start();
  TestClient first(router_->port());
  first.Post("/v1/chat/completions", "{}");
  EXPECT_TRUE(first.ReadUntil("data: 1\n\n"));
  first.Close();
  EXPECT_TRUE(streaming.get_future().get());
  TestClient second(router_->port());
  second.Post("/v1/messages", "{}");
  asked.get_future().wait();
  second.Close();
  EXPECT_TRUE(unanswered.get_future().get());
  // None of it is the replica's fault.
  const std::string page = Ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").body;
  EXPECT_TRUE(page.contains("\nreprise_router_broken_replies_total 0\n")) << page;
  EXPECT_TRUE(page.contains("reprise_router_replica_failures_total{")) << page;
  EXPECT_FALSE(std::regex_search(page, std::regex("replica_failures_total\\{[^}]*\\} [1-9]")));
}

TEST_F(ProxyTest, ConnectionsToReplicasAreKept) {
  std::atomic<int> answered = 0;
  PlayedUpstream& replica = Play([&](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(PlayedAnswer("200 OK", "{}"));
    // Closed behind the second, as an engine does whose patience is short.
    if (++answered == 2) connection.Close();
  });
  Start();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Chat().status, 200) << i;
  EXPECT_EQ(answered, 5);
  EXPECT_LE(replica.connections, 4)
      << "one more behind the one that closed, and who asks for health";
}

TEST_F(ProxyTest, WhatHasNoBodyEndsWithItsHead) {
  Play([](const PlayedRequest& request, PlayedConnection& connection) {
    const bool kept = request.head.starts_with("GET /page/kept");
    connection.Send(kept ? "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"
                         : "HTTP/1.1 204 No Content\r\n\r\n");
  });
  Start();
  TestClient client(router_->port());
  for (const auto& [path, status] : {std::pair{"/page/kept", 304}, {"/page/none", 204}}) {
    client.Get(path);
    const HttpReply reply = client.Read();
    EXPECT_EQ(reply.status, status);
    EXPECT_FALSE(reply.headers.contains("transfer-encoding"));
    EXPECT_FALSE(reply.headers.contains("content-length"));
    EXPECT_TRUE(client.SilentFor(20));
    EXPECT_EQ(client.buffer, "");
  }
}

TEST_F(ProxyTest, HeadIsAnsweredWithoutABody) {
  Play([&](const PlayedRequest& request, PlayedConnection& connection) {
    const std::string answer = PlayedAnswer("200 OK", "{\"a\":1}");
    const bool head = request.head.starts_with("HEAD");
    connection.Send(head ? answer.substr(0, answer.find("\r\n\r\n") + 4) : answer);
  });
  Start();
  TestClient client(router_->port());
  client.Send("HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const HttpReply head = client.Read(/*head_only=*/true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "7");
  client.Get("/v1/models");
  EXPECT_EQ(client.Read().body, "{\"a\":1}") << "no body came between";
}

TEST_F(ProxyTest, WhatConcernsOneReplicaGoesToTheOneThatIsNamed) {
  const auto answer = [](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(PlayedAnswer("200 OK", "{}"));
  };
  PlayedUpstream& first = Play(answer);
  PlayedUpstream& second = Play(answer);
  Start();
  TestClient client(router_->port());
  const auto asked = [&](const std::string& bytes) {
    client.Send(bytes);
    const HttpReply reply = client.Read();
    return reply.status == 200 ? reply.headers.at("x-reprise-replica")
                               : std::to_string(reply.status);
  };
  const std::string end = " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  EXPECT_EQ(asked("GET /cache" + end), first.name());
  EXPECT_EQ(asked("GET /cache?replica=" + second.name() + end), second.name());
  EXPECT_EQ(asked("GET /metrics?replica=" + second.name() + end), second.name());
  EXPECT_EQ(asked("DELETE /cache HTTP/1.1\r\nHost: localhost\r\nx-reprise-replica: " +
                  second.name() + "\r\n\r\n"),
            second.name());
  EXPECT_EQ(asked("DELETE /cache" + end), "400") << "of whom is not said";
  EXPECT_EQ(asked("GET /cache?replica=nobody:1" + end), "404");
}

TEST_F(ProxyTest, RepliesThatAreBeingWrittenCount) {
  std::atomic<bool> hold = false;
  const auto answer = [&](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(kPlayedStream);
    connection.Chunk("data: 1\n\n");
    while (hold) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    connection.Send("0\r\n\r\n");
  };
  const PlayedUpstream& first = Play(answer);
  const PlayedUpstream& second = Play(answer);
  Start();
  const auto body = [](const std::string& text) {
    return PostBytes("/v1/chat/completions",
                     R"({"messages":[{"role":"user","content":")" + text + R"("}]})");
  };
  // By its work alone, one has done its share for all the small prompts that follow.
  EXPECT_EQ(Ask(body(std::string(40'000, 'a'))).status, 200);
  hold = true;
  std::vector<std::unique_ptr<TestClient>> clients;
  for (size_t i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<TestClient>(router_->port()));
    clients.back()->Send(body(std::to_string(i) + " is a number"));
    EXPECT_TRUE(clients.back()->ReadUntil("data: 1\n\n"));
  }
  EXPECT_GE(first.requests().size(), 3u);
  EXPECT_GE(second.requests().size(), 3u);
  hold = false;
  for (const auto& client : clients) EXPECT_EQ(client->Read().status, 200);
}

TEST_F(ProxyTest, KeysAreLookedAtHereWhereTheyAreKnown) {
  PlayedUpstream& replica = Play([](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(PlayedAnswer("200 OK", "{}"));
  });
  RouterOptions options;
  options.api_keys = ApiKeys::Parse("sk-user acme/one\nsk-chief acme/ops admin\n", "keys").value();
  Start(std::move(options));
  const auto asked = [&](std::string_view line, const std::string& key) {
    return Ask(std::string(line) + " HTTP/1.1\r\nHost: localhost\r\nx-api-key: " + key +
               "\r\nContent-Length: 0\r\n\r\n");
  };
  const HttpReply wrong = asked("POST /v1/messages", "sk-none");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(json::parse(wrong.body).at("error").at("type").as_string(), "authentication_error");
  EXPECT_TRUE(replica.requests().empty());
  EXPECT_EQ(asked("POST /v1/messages", "sk-user").status, 200);
  EXPECT_NE(replica.requests().at(0).head.find("x-api-key: sk-user\r\n"), std::string::npos);
  EXPECT_EQ(asked("GET /fleet", "sk-user").status, 403);
  EXPECT_EQ(asked("GET /metrics", "sk-user").status, 403);
  EXPECT_EQ(asked("GET /fleet", "sk-chief").status, 200);
  EXPECT_EQ(asked("GET /metrics", "sk-chief").status, 200);
}

TEST_F(ProxyTest, AWebPageIsLetInHereAndItsOriginGoesNoFurther) {
  PlayedUpstream& replica = Play([](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\n"
        "access-control-allow-headers: *\r\n\r\n{}");
  });
  RouterOptions options;
  options.origins.origins = {"https://chat.example"};
  Start(std::move(options));
  const auto asked = [&](const std::string& origin) {
    return Ask("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: " + origin + "\r\n\r\n");
  };
  EXPECT_EQ(asked("https://other.example").status, 403);
  const HttpReply reply = asked("https://chat.example");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("access-control-allow-origin"), "https://chat.example");
  EXPECT_FALSE(reply.headers.contains("access-control-allow-headers")) << "what is said is ours";
  ASSERT_EQ(replica.requests().size(), 1u);
  EXPECT_EQ(replica.requests()[0].head.find("origin"), std::string::npos);
}

}  // namespace
}  // namespace reprise

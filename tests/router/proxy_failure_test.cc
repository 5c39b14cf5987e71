// What becomes of requests when replicas fail, refuse, are full or stop.

#include <boost/json.hpp>
#include <future>
#include <semaphore>
#include <string>

#include "router_test_base.h"

namespace reprise {
namespace {

namespace json = boost::json;

class ProxyFailureTest : public RouterTest {
 protected:
  // Answers once as `first` does, whichever replica is asked first, and well from then on.
  void PlayTwo(PlayedUpstream::Answer first) {
    const auto answer = [this, first = std::move(first)](const PlayedRequest& request,
                                                         PlayedConnection& connection) {
      if (asked_++ == 0) {
        first(request, connection);
      } else {
        connection.Send(PlayedAnswer("200 OK", "{\"good\":1}"));
      }
    };
    Play(answer);
    Play(answer);
  }

  std::atomic<int> asked_ = 0;
};

TEST_F(ProxyFailureTest, OneThatFailsBeforeItsFirstByteIsReplaced) {
  const std::vector<PlayedUpstream::Answer> failures = {
      [](const PlayedRequest&, PlayedConnection& c) { c.Close(); },
      [](const PlayedRequest&, PlayedConnection& c) { c.Close(/*reset=*/true); },
      [](const PlayedRequest&, PlayedConnection& c) { c.Send("SSH-2.0\r\n\r\n"), c.Close(); },
      [](const PlayedRequest&, PlayedConnection& c) { c.Send(kPlayedStream), c.Close(); },
      [](const PlayedRequest&, PlayedConnection& c) { c.Send(PlayedAnswer("429 No", "{}")); },
      [](const PlayedRequest&, PlayedConnection& c) { c.Send(PlayedAnswer("502 No", "{}")); },
      [](const PlayedRequest&, PlayedConnection& c) { c.Send(PlayedAnswer("503 No", "{}")); },
      [](const PlayedRequest&, PlayedConnection& c) { c.Send(PlayedAnswer("504 No", "{}")); },
      [](const PlayedRequest&, PlayedConnection& c) { c.Send(PlayedAnswer("529 No", "{}")); }};
  for (const PlayedUpstream::Answer& failure : failures) {
    router_ = nullptr;
    upstreams_.clear();
    asked_ = 0;
    PlayTwo(failure);
    Start();
    const HttpReply reply = Chat();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "{\"good\":1}");
    EXPECT_EQ(asked_, 2);
  }
}

TEST_F(ProxyFailureTest, AFaultOfTheRequestIsItsAnswer) {
  PlayTwo([](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(PlayedAnswer("500 No", "{\"bad\":1}"));
  });
  Start();
  EXPECT_EQ(Chat().status, 500);
  EXPECT_EQ(asked_, 1);
}

TEST_F(ProxyFailureTest, WhereAllRefuseTheLastOnesWordsAreTheAnswer) {
  for (int i = 0; i < 2; ++i) {
    Play([this](const PlayedRequest&, PlayedConnection& connection) {
      ++asked_;
      connection.Send(PlayedAnswer("429 No", "{\"full\":1}"));
    });
  }
  Start();
  const HttpReply reply = Chat();
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.body, "{\"full\":1}");
  EXPECT_EQ(asked_, 2) << "each was asked once";
}

TEST_F(ProxyFailureTest, WhereNobodyIsThereTheVendorsErrorSaysSo) {
  Play({});
  const int port = upstreams_[0]->port();
  upstreams_.clear();
  RouterOptions options;
  options.replicas = {{"127.0.0.1", static_cast<uint16_t>(port)}};
  Start(std::move(options));
  const HttpReply chat = Chat();
  EXPECT_EQ(chat.status, 503);
  EXPECT_EQ(chat.headers.at("retry-after"), "1");
  const HttpReply messages = Chat("/v1/messages");
  EXPECT_EQ(messages.status, 529);
  EXPECT_EQ(json::parse(messages.body).at("error").at("type").as_string(), "overloaded_error");
  EXPECT_EQ(Ask("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 503);
  // It comes.
  upstreams_.push_back(std::make_unique<PlayedUpstream>(
      [](const PlayedRequest&, PlayedConnection& connection) {
        connection.Send(PlayedAnswer("200 OK", "{}"));
      },
      port));
  EXPECT_TRUE(Until([&] { return Chat().status == 200; }));
}

TEST_F(ProxyFailureTest, AStreamThatBreaksOffEndsWithTheVendorsErrorEvent) {
  Play([](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(kPlayedStream);
    connection.Chunk("data: {\"sequence_number\":7}\n\ndata: {\"half");
    connection.Close();
  });
  Start();
  const std::string begun = "data: {\"sequence_number\":7}\n\n";
  const std::string message = "The server that wrote this reply is gone; ask again.";
  EXPECT_EQ(Chat().body, begun + "data: {\"error\":{\"message\":\"" + message +
                             "\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n");
  EXPECT_EQ(Chat("/v1/messages").body,
            begun +
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                "\"message\":\"" +
                message + "\"},\"request_id\":null}\n\n");
  EXPECT_EQ(Chat("/v1/responses").body,
            begun +
                "event: error\ndata: {\"type\":\"error\",\"sequence_number\":8,\"code\":"
                "\"server_error\",\"message\":\"" +
                message + "\",\"param\":null}\n\n");
}

TEST_F(ProxyFailureTest, ABodyThatBreaksOffIsCut) {
  Play([](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half");
    connection.Close();
  });
  Start();
  EXPECT_EQ(Chat().status, 0) << "closed before a whole response";
}

TEST_F(ProxyFailureTest, BeyondWhatReplicasMayHaveRequestsWaitAndThenAreRefused) {
  std::counting_semaphore<> answer(0);
  Play([&](const PlayedRequest&, PlayedConnection& connection) {
    ++asked_;
    answer.acquire();
    connection.Send(PlayedAnswer("200 OK", "{}"));
  });
  RouterOptions options;
  options.max_outstanding = 1;
  options.queue = 1;
  options.queue_wait = std::chrono::hours(1);
  Start(std::move(options));
  TestClient first(router_->port()), second(router_->port());
  first.Post("/v1/chat/completions", "{}");
  EXPECT_TRUE(Until([&] { return asked_ == 1; }));
  second.Post("/v1/chat/completions", "{}");
  const auto waiting = [&] {
    const HttpReply fleet = Ask("GET /fleet HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return json::parse(fleet.body).at("waiting").as_int64();
  };
  EXPECT_TRUE(Until([&] { return waiting() == 1; }));
  const HttpReply third = Chat();
  EXPECT_EQ(third.status, 503);
  EXPECT_EQ(third.headers.at("retry-after"), "1");
  EXPECT_EQ(Chat("/v1/messages").status, 529);
  EXPECT_EQ(asked_, 1);
  answer.release(2);
  EXPECT_EQ(first.Read().status, 200);
  EXPECT_EQ(second.Read().status, 200);
}

TEST_F(ProxyFailureTest, WhoIsBoundToABusyReplicaHoldsUpNobodyElse) {
  std::counting_semaphore<> answer(0);
  PlayedUpstream& busy = Play([&](const PlayedRequest&, PlayedConnection& connection) {
    ++asked_;
    answer.acquire();
    connection.Send(PlayedAnswer("200 OK", "{}"));
  });
  PlayedUpstream& other = Play([](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(PlayedAnswer("200 OK", "{}"));
  });
  RouterOptions options;
  options.max_outstanding = 1;
  options.queue_wait = std::chrono::hours(1);
  Start(std::move(options));
  const std::string named =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: 2\r\nx-reprise-replica: " +
      busy.name() + "\r\n\r\n{}";
  TestClient first(router_->port()), second(router_->port());
  first.Send(named);
  EXPECT_TRUE(Until([&] { return asked_ == 1; }));
  second.Send(named);
  EXPECT_TRUE(Until([&] {
    const HttpReply fleet = Ask("GET /fleet HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return json::parse(fleet.body).at("waiting").as_int64() == 1;
  }));
  EXPECT_EQ(Chat().status, 200);
  EXPECT_EQ(other.requests().size(), 1u);
  answer.release(2);
  EXPECT_EQ(first.Read().status, 200);
  EXPECT_EQ(second.Read().status, 200);
}

TEST_F(ProxyFailureTest, AStoredResponseIsAskedOfNobodyButItsHolder) {
  std::atomic<int> elsewhere = 0;
  const auto answer = [&](const PlayedRequest& request, PlayedConnection& connection) {
    if (request.head.starts_with("POST")) {
      connection.Send(
          "HTTP/1.1 200 OK\r\nx-reprise-stored-response: resp_1\r\nContent-Length: "
          "2\r\n\r\n{}");
    } else {
      ++elsewhere;
      connection.Send(PlayedAnswer("429 No", "{\"full\":1}"));
    }
  };
  Play(answer);
  Play(answer);
  Start();
  EXPECT_EQ(Chat("/v1/responses").status, 200);
  const HttpReply reply = Ask("GET /v1/responses/resp_1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(reply.status, 429) << "which is true, where another's 404 would not be";
  EXPECT_EQ(elsewhere, 1);
}

TEST_F(ProxyFailureTest, AStreamWhoseLengthWasToldIsCut) {
  PlayTwo([](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: "
        "1000\r\n\r\ndata: 1\n\n");
    connection.Close();
  });
  Start();
  TestClient client(router_->port());
  client.Post("/v1/chat/completions", "{}");
  EXPECT_TRUE(client.ReadToClose());
  EXPECT_TRUE(client.buffer.ends_with("\r\n\r\ndata: 1\n\n")) << client.buffer;
}

TEST_F(ProxyFailureTest, WhoWaitsTooLongIsRefused) {
  std::promise<void> answer;
  Play([&](const PlayedRequest&, PlayedConnection& connection) {
    ++asked_;
    answer.get_future().wait();
    connection.Send(PlayedAnswer("200 OK", "{}"));
  });
  RouterOptions options;
  options.max_outstanding = 1;
  options.queue_wait = std::chrono::milliseconds(10);
  Start(std::move(options));
  TestClient first(router_->port());
  first.Post("/v1/chat/completions", "{}");
  EXPECT_TRUE(Until([&] { return asked_ == 1; }));
  EXPECT_EQ(Chat().status, 503);
  answer.set_value();
  EXPECT_EQ(first.Read().status, 200);
}

TEST_F(ProxyFailureTest, AReplicaThatStopsGetsNothingMoreAndEndsWhatItHas) {
  std::promise<void> answer;
  const auto good = [](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(PlayedAnswer("200 OK", "{}"));
  };
  PlayedUpstream& stopping = Play([&](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(kPlayedStream);
    connection.Chunk("data: 1\n\n");
    answer.get_future().wait();
    connection.Chunk("data: 2\n\n");
    connection.Send("0\r\n\r\n");
  });
  PlayedUpstream& other = Play(good);
  Start();
  TestClient client(router_->port());
  client.Send("POST /v1/chat/completions?replica=" + stopping.name() +
              " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_TRUE(client.ReadUntil("data: 1\n\n"));
  stopping.health = 503;
  const auto draining = [&] {
    const HttpReply fleet = Ask("GET /fleet HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return fleet.body.contains("\"draining\"");
  };
  EXPECT_TRUE(Until(draining));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Chat().headers.at("x-reprise-replica"), other.name());
  answer.set_value();
  EXPECT_TRUE(client.ReadUntil("data: 2\n\n"));
  EXPECT_EQ(stopping.requests().size(), 1u);
}

TEST_F(ProxyFailureTest, ARouterThatStopsEndsWhatItHasBegun) {
  std::promise<void> answer;
  Play([&](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(kPlayedStream);
    connection.Chunk("data: 1\n\n");
    answer.get_future().wait();
    connection.Chunk("data: 2\n\n");
    connection.Send("0\r\n\r\n");
  });
  Start();
  TestClient client(router_->port()), kept(router_->port());
  kept.Get("/health");
  EXPECT_EQ(kept.Read().status, 200);
  client.Post("/v1/chat/completions", "{}");
  EXPECT_TRUE(client.ReadUntil("data: 1\n\n"));
  std::jthread stop([&] { router_->Stop(std::chrono::hours(1)); });
  const auto refused = [&] {
    kept.Get("/health");
    return kept.Read().status == 503;
  };
  EXPECT_TRUE(Until(refused));
  kept.Post("/v1/chat/completions", "{}");
  EXPECT_EQ(kept.Read().status, 503);
  answer.set_value();
  EXPECT_EQ(client.Read().body, "data: 1\n\ndata: 2\n\n");
}

TEST_F(ProxyFailureTest, WhatIsNotOverWhenARouterStopsEndsWithAnErrorEvent) {
  Play([&](const PlayedRequest&, PlayedConnection& connection) {
    connection.Send(kPlayedStream);
    connection.Chunk("data: 1\n\n");
    EXPECT_TRUE(connection.SeesEnd(10'000));
    connection.Close();
  });
  Start();
  TestClient client(router_->port());
  client.Post("/v1/chat/completions", "{}");
  EXPECT_TRUE(client.ReadUntil("data: 1\n\n"));
  router_->Stop();
  const std::string body = client.Read().body;
  EXPECT_TRUE(body.contains("The router is stopping")) << body;
}

}  // namespace
}  // namespace reprise

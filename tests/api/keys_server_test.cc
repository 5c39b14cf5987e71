// A server with keys: who is answered what, over real connections and a fake engine.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "base/limits.h"
#include "cache/scope.h"
#include "fixtures/fake_server.h"

namespace reprise {
namespace {

namespace json = boost::json;

constexpr const char* kKeys =
    "key-a a/one\n"
    "key-b b/two\n"
    "key-admin ops/all admin\n";

class KeysServerTest : public FakeServerTest {
 protected:
  KeysServerTest() { server_->ReplaceKeys(ApiKeys::Parse(kKeys, "keys").value()); }

  static std::string Bytes(std::string_view method, std::string_view path, std::string_view key,
                           std::string_view body = "") {
    const std::string field = key.empty() ? "" : fmt::format("x-api-key: {}\r\n", key);
    return fmt::format(
        "{} {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\nContent-Length: "
        "{}\r\n\r\n{}",
        method, path, field, body.size(), body);
  }
  HttpReply Ask(std::string_view method, std::string_view path, std::string_view key,
                std::string_view body = "") {
    TestClient client(server_->port());
    client.Send(Bytes(method, path, key, body));
    return client.Read(method == "HEAD");
  }
  void Answer() {
    engine_.AnswerWith([](const GenerationRequest& request, const EventSink& sink) {
      sink(Started(static_cast<int>(request.prompt.size()), 0));
      sink(Text("aaaa"));
      sink(Finished(request, 0, {5}));
    });
  }
};

TEST_F(KeysServerTest, WithoutAKeyARefusalHasTheVendorsShape) {
  const HttpReply openai = Ask("POST", "/v1/chat/completions", "", kChat);
  EXPECT_EQ(openai.status, 401);
  EXPECT_EQ(openai.headers.at("www-authenticate"), "Bearer");
  EXPECT_TRUE(openai.headers.at("x-request-id").starts_with("req_"));
  const json::value error = json::parse(openai.body).at("error");
  EXPECT_EQ(error.at("type"), "invalid_request_error");
  EXPECT_EQ(error.at("code"), "invalid_api_key");
  const HttpReply anthropic = Ask("POST", "/v1/messages", "key-wrong", kChat);
  EXPECT_EQ(anthropic.status, 401);
  EXPECT_TRUE(anthropic.headers.at("request-id").starts_with("req_"));
  EXPECT_EQ(json::parse(anthropic.body).at("error").at("type"), "authentication_error");
  EXPECT_EQ(anthropic.body.find("key-wrong"), std::string::npos);
  EXPECT_EQ(engine_.requests(), 0U);
}

TEST_F(KeysServerTest, NothingButLookingWhetherItIsThereIsAnsweredWithoutAKey) {
  for (const char* path : {"/v1/models", "/props", "/metrics", "/cache", "/nothing", "/v1/models/x",
                           "/v1/chat/completions"}) {
    EXPECT_EQ(Ask("GET", path, "").status, 401) << path;
    EXPECT_EQ(Ask("HEAD", path, "key-aa").status, 401) << path;
  }
  for (const char* path : {"/tokenize", "/detokenize", "/apply-template", "/v1/completions",
                           "/v1/messages/count_tokens"}) {
    EXPECT_EQ(Ask("POST", path, "", "{}").status, 401) << path;
  }
  EXPECT_EQ(Ask("DELETE", "/cache", "").status, 401);
  for (const char* path : {"/", "/health"}) {
    EXPECT_EQ(Ask("GET", path, "").status, 200);
    EXPECT_EQ(Ask("HEAD", path, "key-wrong").status, 200);
  }
}

TEST_F(KeysServerTest, AStrangersBodyIsNotWaitedFor) {
  TestClient client(server_->port());
  client.Send(
      "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n{\"mess");
  const HttpReply reply = client.Read();
  EXPECT_EQ(reply.status, 401) << "the rest of the body never came";
  EXPECT_EQ(reply.headers.at("connection"), "close");
}

TEST_F(KeysServerTest, AStrangerIsNotInvitedToSendABody) {
  TestClient client(server_->port());
  client.Send(
      "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_EQ(client.Read().status, 401);
}

TEST_F(KeysServerTest, ABodyThatIsTooLargeSaysSoOnlyToThoseWithAKey) {
  const auto ask = [this](std::string_view key) {
    TestClient client(server_->port());
    client.Send(
        fmt::format("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n"
                    "x-api-key: {}\r\n\r\n",
                    limits::kMaxBodyBytes + 1, key));
    return client.Read().status;
  };
  EXPECT_EQ(ask("key-wrong"), 401);
  EXPECT_EQ(ask("key-a"), 413);
}

TEST_F(KeysServerTest, ARefusalWithoutABodyKeepsTheConnection) {
  TestClient client(server_->port());
  client.Send(Bytes("GET", "/v1/models", "") + Bytes("GET", "/v1/models", "key-a"));
  EXPECT_EQ(client.Read().status, 401);
  EXPECT_EQ(client.Read().status, 200) << "each request has its own key";
}

TEST_F(KeysServerTest, WhatConcernsEverybodyIsForAdministrators) {
  for (const char* key : {"key-a", "key-b"}) {
    const HttpReply flush = Ask("DELETE", "/cache", key);
    EXPECT_EQ(flush.status, 403);
    EXPECT_EQ(json::parse(flush.body).at("error").at("type"), "permission_error");
    EXPECT_EQ(Ask("GET", "/metrics", key).status, 403);
    EXPECT_EQ(Ask("HEAD", "/metrics", key).status, 403);
  }
  EXPECT_EQ(Ask("DELETE", "/cache", "key-admin").status, 200);
  EXPECT_EQ(Ask("GET", "/metrics", "key-admin").status, 200);
}

TEST_F(KeysServerTest, RefusalsAreCounted) {
  Ask("GET", "/v1/models", "");
  Ask("POST", "/v1/messages", "key-wrong", "{}");
  const std::string page = Ask("GET", "/metrics", "key-admin").body;
  EXPECT_NE(page.find("\nreprise_http_unauthorized_total 2\n"), std::string::npos) << page;
  EXPECT_NE(page.find("{route=\"/v1/messages\",status=\"401\"} 1\n"), std::string::npos);
  EXPECT_EQ(page.find("key-"), std::string::npos);
}

TEST_F(KeysServerTest, TheTenantIsTheScopeOfWhatIsCached) {
  Answer();
  for (const char* path : {"/v1/chat/completions", "/v1/messages"}) {
    for (const char* key : {"key-a", "key-b"}) {
      EXPECT_EQ(Ask("POST", path, key, R"({"max_tokens":3,)" + std::string(kChat).substr(1)).status,
                200);
    }
  }
  EXPECT_EQ(Ask("POST", "/v1/completions", "key-admin", R"({"prompt":"hello"})").status, 200);
  std::map<std::string, int> asked;
  for (size_t i = 0; i < engine_.requests(); ++i) {
    const GenerationRequest request = engine_.request(i);
    if (request.priority == Priority::kNormal) ++asked[request.scope];
  }
  EXPECT_EQ(asked, (std::map<std::string, int>{{"a/one", 2}, {"b/two", 2}, {"ops/all", 1}}));
}

TEST_F(KeysServerTest, WhatIsComputedAfterAReplyStaysInItsTenantsScope) {
  Answer();
  Ask("POST", "/v1/chat/completions", "key-b", kChat);
  ASSERT_TRUE(engine_.WaitForRequests(2)) << "the reply's text has other tokens than were drawn";
  EXPECT_EQ(engine_.request(1).priority, Priority::kBackground);
  EXPECT_EQ(engine_.request(1).scope, "b/two");
}

TEST_F(KeysServerTest, AReplyThatHasBegunIsEndedThoughItsKeyIsTakenAway) {
  TestClient client(server_->port());
  client.Send(Bytes("POST", "/v1/chat/completions", "key-a",
                    R"({"stream":true,"messages":[{"role":"user","content":"hello"}]})"));
  ASSERT_TRUE(engine_.WaitForRequests(1));
  engine_.Send(0, Started(9, 0));
  engine_.Send(0, Text("some"));
  ASSERT_TRUE(client.ReadUntil("some"));
  server_->ReplaceKeys(ApiKeys::Parse("key-b b/two", "keys").value());
  engine_.Send(0, Text(" more"));
  engine_.Send(0, Finished(engine_.request(0), 0, {}));
  ASSERT_TRUE(client.ReadUntil("[DONE]"));
  ASSERT_TRUE(client.ReadUntil("0\r\n\r\n"));
  client.buffer.clear();
  client.Send(Bytes("GET", "/v1/models", "key-a"));
  EXPECT_EQ(client.Read().status, 401) << "on the same connection";
}

// -- GET /cache -----------------------------------------------------------------------------------

class CachePageTest : public KeysServerTest {
 protected:
  CachePageTest() {
    EngineSnapshot snapshot;
    snapshot.total.block_bytes = 100;
    snapshot.total.block_tokens = 4;
    snapshot.total.cache = {.total_blocks = 70, .free_blocks = 30, .cached_blocks = 31};
    snapshot.total.cache.pin_capacity_blocks = 50;
    snapshot.total.cache.pin_capacity_per_tenant_blocks = 20;
    TenantStats tenant;
    tenant.cache = {"a/one", 2, 7, 25, 3, 1, {1, 0, 2}};
    tenant.requests = 5;
    tenant.hits = 2;
    tenant.prompt_tokens = 90;
    tenant.cached_tokens = 40;
    snapshot.tenants.push_back(tenant);
    tenant = {};
    tenant.cache = {"ops/all", 1, 24, 94, 11, 0, {0, 13, 0}};
    snapshot.tenants.push_back(tenant);
    engine_.SetSnapshot(snapshot);
  }
};

TEST_F(CachePageTest, ATenantSeesItsOwnAndNothingThatDependsOnOthers) {
  const json::value page = json::parse(Ask("GET", "/cache", "key-a").body);
  EXPECT_EQ(page, json::parse(R"({"block_tokens":4,"block_bytes":100,"tenant":"a/one",
      "blocks":{"cached":7,"pinned":3,"reserved":1,"pin_capacity":20},
      "bytes":{"cached":700,"pinned":300,"pin_capacity":2000},
      "cached_tokens":25,
      "lifetimes":{"automatic_blocks":4,"promises_to_5m":1,"promises_to_1h":0,
                   "promises_beyond_1h":2},
      "hits":{"requests":5,"with_a_hit":2},"tokens":{"prompt":90,"read":40}})"));
}

TEST_F(CachePageTest, ATenantThatNeverAskedSeesNothing) {
  const json::value page = json::parse(Ask("GET", "/cache", "key-b").body);
  EXPECT_EQ(page.at("tenant"), "b/two");
  EXPECT_EQ(page.at("cached_tokens"), 0);
  EXPECT_EQ(page.at("hits").at("requests"), 0);
}

TEST_F(CachePageTest, AnAdministratorSeesEverythingAndEveryTenant) {
  const json::value page = json::parse(Ask("GET", "/cache", "key-admin").body);
  EXPECT_EQ(page.at("blocks").at("total"), 70);
  EXPECT_EQ(page.at("blocks").at("pin_capacity"), 50);
  const json::array& tenants = page.at("tenants").as_array();
  ASSERT_EQ(tenants.size(), 2U);
  EXPECT_EQ(tenants[0].at("tenant"), "a/one");
  EXPECT_EQ(tenants[1].at("lifetimes").at("promises_to_1h"), 13);
}

}  // namespace
}  // namespace reprise

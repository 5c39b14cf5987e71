// What a server tells those who follow it, over real connections and a fake engine.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/fleet_limits.h"
#include "fixtures/fake_server.h"
#include "text/vocabulary_hash.h"

namespace reprise {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::string_view kToken = "the-fleet-shows-this-token";

class FollowServerTest : public FakeServerTest {
 protected:
  FollowServerTest() {
    EngineSnapshot snapshot;
    snapshot.total.block_tokens = 32;
    snapshot.total.block_bytes = 3200;
    snapshot.total.tiers.resize(1);
    snapshot.total.tiers[0].bytes_per_second = 1e6;
    snapshot.total.seconds_per_token = 0.25;
    snapshot.total.ahead_seconds = 1.5;
    snapshot.total.running = 2;
    engine_.SetSnapshot(snapshot);
    Restart(std::string(kToken));
  }

  void Restart(std::string fleet_token) {
    server_.reset();
    ServerOptions options;
    options.port = 0;
    options.model_name = "tiny";
    options.chat_template_source = "a template";
    options.fleet_token = std::move(fleet_token);
    options.build.version = "1.2.3";
    options.policy.cache_minimum_tokens = 7;
    auto started = Server::Start(engine_, model_.tokenizer, model_.chat_template, options);
    ASSERT_TRUE(started);
    server_ = std::move(*started);
  }
  void UseKeys() {
    constexpr const char* kKeys = "key-a a/one\nkey-admin ops/all admin\n";
    server_->ReplaceKeys(ApiKeys::Parse(kKeys, "keys").value());
  }

  std::unique_ptr<TestClient> Follow(std::string_view authorization = "Bearer none",
                                     std::string_view path = "/cache/events") {
    auto client = std::make_unique<TestClient>(server_->port());
    client->Send(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\r\n",
                             path, authorization));
    return client;
  }
  HttpReply Get(std::string_view path, std::string_view authorization = "Bearer none") {
    return Follow(authorization, path)->Read();
  }
  int StatusOf(std::string_view authorization) {
    const auto client = Follow(authorization);
    if (!client->ReadUntil("\r\n\r\n")) return 0;
    return std::stoi(client->buffer.substr(client->buffer.find(' ')));
  }
  // Reads on until an event of the name has come, and takes all that came up to its end.
  static json::value Next(TestClient& client, std::string_view event) {
    const std::string name = fmt::format("event: {}\ndata: ", event);
    if (!client.ReadUntil(name)) return nullptr;
    client.buffer.erase(0, client.buffer.find(name) + name.size());
    if (!client.ReadUntil("\n\n")) return nullptr;
    return json::parse(client.buffer.substr(0, client.buffer.find("\n\n")));
  }
};

TEST_F(FollowServerTest, ServersSayWhoTheyAreBeforeAllElse) {
  auto client = Follow();
  ASSERT_TRUE(client->ReadUntil("event: "));
  EXPECT_TRUE(client->buffer.find("event: hello") != std::string::npos) << client->buffer;
  const json::value hello = Next(*client, "hello");
  EXPECT_EQ(hello.at("process").as_string().size(), 16U);
  json::object rest = hello.as_object();
  rest.erase("process");
  EXPECT_EQ(json::value(rest),
            json::parse(fmt::format(
                R"({{"model":"tiny","identity":"{}","block_tokens":32,
      "context":4096,"template":
      "2db841734c2f3f4de7b17cc2d1782d22909ccde0bade9730de11c71834af1f30","vocabulary":"{}","tool_format":"hermes",
      "cache_key_isolates":false,"drop_billing_line":true,"cache_minimum_tokens":7,
      "places":["memory","disk"],"version":"1.2.3"}})",
                std::string(64, '0'), VocabularyHash(model_.tokenizer->vocabulary()))));
  const json::value again = Next(*Follow(), "hello");
  EXPECT_EQ(again.at("process"), hello.at("process"));
  Restart("");
  EXPECT_NE(Next(*Follow(), "hello").at("process"), hello.at("process"));
}

TEST_F(FollowServerTest, BlocksAreToldByTheirNamesInOrder) {
  BlockChanges snapshot;
  snapshot.kind = BlockChanges::Kind::kSnapshot;
  snapshot.sequence = 17;
  snapshot.begins = true;
  snapshot.stored = {{.parent = std::nullopt, .blocks = {1, 0xABCDEF}, .tokens = {}},
                     {.parent = 1, .blocks = {0xFFFFFFFFFFFFFFFF}, .tokens = {}}};
  engine_.TellBlocks(snapshot);
  snapshot.begins = false;
  snapshot.ends = true;
  snapshot.stored.clear();
  engine_.TellBlocks(snapshot);
  auto client = Follow();
  EXPECT_EQ(Next(*client, "blocks"),
            json::parse(R"({"place":"memory","sequence":17,"snapshot":"begin","stored":[
                {"parent":null,"blocks":["0000000000000001","0000000000abcdef"],"tokens":64},
                {"parent":"0000000000000001","blocks":["ffffffffffffffff"],"tokens":32}],
                "removed":[]})"));
  EXPECT_EQ(Next(*client, "blocks"),
            json::parse(R"({"place":"memory","sequence":17,"snapshot":"end","stored":[],
                            "removed":[]})"));
  BlockChanges change;
  change.place = BlockPlace::kShared;
  change.sequence = 3;
  change.cleared = true;
  change.removed = {5};
  engine_.TellBlocks(change);
  EXPECT_EQ(Next(*client, "blocks"),
            json::parse(R"({"place":"shared","sequence":3,"cleared":true,"stored":[],
                            "removed":["0000000000000005"]})"));
  snapshot.begins = true;
  snapshot.place = BlockPlace::kDisk;
  engine_.TellBlocks(snapshot);
  EXPECT_EQ(Next(*client, "blocks").at("snapshot"), "whole");
}

TEST_F(FollowServerTest, TheLoadIsToldAtOnceEachSecondAndAtARequestsBeginAndEnd) {
  auto client = Follow();
  const json::value load = Next(*client, "load");
  EXPECT_EQ(load, json::parse(R"({"running":2,"waiting":0,"ahead_seconds":1.5,
      "seconds_per_token":0.25,"seconds_per_token_and_key":0.0,"disk_seconds_per_token":0.0001,
      "shared_seconds_per_token":0.0})"));
  EXPECT_FALSE(Next(*client, "load").is_null());
  EXPECT_FALSE(Next(*client, "load").is_null());
  std::atomic<bool> enough{false};
  engine_.AnswerWith([](const GenerationRequest& request, const EventSink& sink) {
    sink(Started(static_cast<int>(request.prompt.size()), 0));
    sink(Text("a"));
    sink(Finished(request, 0, {5}));
  });
  std::thread asking([&] {
    while (!enough) {
      TestClient one(server_->port());
      one.Post("/v1/chat/completions", kChat);
      one.Read();
    }
  });
  const auto begin = std::chrono::steady_clock::now();
  for (int told = 0; told < 20; ++told) EXPECT_FALSE(Next(*client, "load").is_null());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 19s) << "one each second takes longer";
  enough = true;
  asking.join();
}

TEST_F(FollowServerTest, RepliesThatCallToolsAreToldAndThoseBeforeToo) {
  constexpr std::string_view kWithTool =
      R"({"messages":[{"role":"user","content":"hello"}],"tools":[{"type":"function","function":
      {"name":"look","parameters":{"type":"object","properties":{"at":{"type":"number"}}}}}]})";
  engine_.AnswerWith([](const GenerationRequest& request, const EventSink& sink) {
    sink(Started(static_cast<int>(request.prompt.size()), 0));
    sink(Text(R"(Well.<tool_call>{"name": "look", "arguments": {"at": 5.0}}</tool_call>)"));
    sink(Finished(request, 0, {5}));
  });
  auto client = Follow();
  Next(*client, "load");
  TestClient asking(server_->port());
  asking.Post("/v1/chat/completions", kWithTool);
  const json::value answer = json::parse(asking.Read().body);
  const json::value& call = answer.at("choices").at(0).at("message").at("tool_calls").at(0);
  const json::value told = Next(*client, "reply");
  EXPECT_EQ(told.at("tenant"), "");
  EXPECT_EQ(told.at("reply").at("text"), "Well.");
  EXPECT_EQ(told.at("reply").at("calls").at(0).at("id"), call.at("id"));
  EXPECT_EQ(told.at("reply").at("calls").at(0).at("name"), "look");
  EXPECT_EQ(json::serialize(told.at("reply").at("calls").at(0).at("arguments")), R"({"at":5E0})");
  EXPECT_TRUE(told.at("reply").at("written").is_string());
  EXPECT_EQ(Next(*Follow(), "reply"), told);
}

TEST_F(FollowServerTest, OnlyAdministratorsAndWhoShowsTheFleetsTokenMayFollow) {
  EXPECT_EQ(StatusOf("Bearer whatever"), 200) << "without keys anybody is an administrator";
  UseKeys();
  EXPECT_EQ(StatusOf("Bearer key-admin"), 200);
  EXPECT_EQ(StatusOf(fmt::format("Bearer {}", kToken)), 200);
  EXPECT_EQ(StatusOf("Bearer key-a"), 403);
  EXPECT_EQ(StatusOf(fmt::format("Bearer {}x", kToken)), 401);
  EXPECT_EQ(StatusOf(fmt::format("Basic {}", kToken)), 401);
  EXPECT_EQ(StatusOf("Bearer "), 401);
  EXPECT_EQ(Get("/cache", fmt::format("Bearer {}", kToken)).status, 401) << "for nothing else";
  EXPECT_EQ(Get("/cache/events/", fmt::format("Bearer {}", kToken)).status, 401);
  Restart("");
  UseKeys();
  EXPECT_EQ(StatusOf("Bearer "), 401) << "no token is not the empty one";
  EXPECT_EQ(StatusOf(fmt::format("Bearer {}", kToken)), 401);
}

TEST_F(FollowServerTest, AServerThatStopsSaysSoAtOnceAndEndsTheStreamWhenRepliesHaveEnded) {
  auto client = Follow();
  Next(*client, "load");
  TestClient asking(server_->port());
  asking.Post("/v1/chat/completions",
              R"({"messages":[{"role":"user","content":"hello"}],"stream":true})");
  ASSERT_TRUE(engine_.WaitForRequests(1));
  engine_.Send(0, Started(9, 0));
  engine_.Send(0, Text("a"));
  ASSERT_TRUE(asking.ReadUntil("\"content\":\"a\""));
  TestClient idle(server_->port());
  std::future<void> stopped = std::async(std::launch::async, [&] { server_->Stop(90s); });
  EXPECT_TRUE(Next(*client, "draining").is_object());
  EXPECT_EQ(stopped.wait_for(0s), std::future_status::timeout);
  // Meanwhile new connections are answered, so that who asks can go elsewhere.
  HttpReply health = Get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.body, R"({"status":"stopping"})");
  idle.Post("/v1/chat/completions", kChat);
  const HttpReply refused = idle.Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.body.find("stopping"), std::string::npos);
  EXPECT_FALSE(Next(*client, "load").is_null()) << "it goes on";
  engine_.Send(0, Finished(engine_.request(0), 0, {5}));
  EXPECT_EQ(asking.Read().status, 200);
  EXPECT_TRUE(client->ReadUntil("\r\n0\r\n\r\n")) << "the stream has its end";
  EXPECT_EQ(stopped.wait_for(45s), std::future_status::ready) << "who follows is not waited for";
}

TEST_F(FollowServerTest, NoMoreFollowThanTheLimit) {
  std::vector<std::unique_ptr<TestClient>> clients;
  for (size_t i = 0; i < limits::kMaxFollowers; ++i) {
    clients.push_back(Follow());
    EXPECT_FALSE(Next(*clients.back(), "hello").is_null());
  }
  EXPECT_EQ(StatusOf("Bearer none"), 429);
  clients.pop_back();
  int status = 0;
  for (int i = 0; i < 1000 && status != 200; ++i) {
    status = StatusOf("Bearer none");
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(status, 200) << "one has gone";
}

TEST_F(FollowServerTest, WhoDoesNotReadIsCutAndTheEngineIsToldToStop) {
  TestClient slow(server_->port(), /*receive_buffer_bytes=*/4096);
  slow.Send("GET /cache/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(slow.ReadUntil("event: load"));
  // Parts of a snapshot until more than the limit waits.
  BlockChanges part;
  part.kind = BlockChanges::Kind::kSnapshot;
  part.place = BlockPlace::kDisk;
  part.stored = {{.blocks = std::vector<BlockName>(limits::kMaxToldBlocks, 7)}};
  ASSERT_TRUE(engine_.WaitForBlockSinks(1));
  // As much again is being sent.
  constexpr size_t kPartBytes = limits::kMaxToldBlocks * sizeof(BlockName);
  for (size_t bytes = 0; bytes <= 2 * limits::kMaxFollowerBacklogBytes + kPartBytes;
       bytes += kPartBytes) {
    engine_.TellBlocks(part);
  }
  EXPECT_TRUE(engine_.WaitForBlockSinks(0));
  EXPECT_TRUE(slow.ReadToClose());
}

TEST_F(FollowServerTest, AStoredResponseIsNamedInItsHeader) {
  engine_.AnswerWith([](const GenerationRequest& request, const EventSink& sink) {
    sink(Started(static_cast<int>(request.prompt.size()), 0));
    sink(Text("a"));
    sink(Finished(request, 0, {5}));
  });
  for (const bool store : {true, false}) {
    for (const bool stream : {true, false}) {
      TestClient client(server_->port());
      client.Post("/v1/responses",
                  fmt::format(R"({{"input":"hello","store":{},"stream":{}}})", store, stream));
      const HttpReply reply = client.Read();
      ASSERT_EQ(reply.status, 200) << reply.body;
      const auto name = reply.headers.find("x-reprise-stored-response");
      ASSERT_EQ(name != reply.headers.end(), store);
      if (!store) continue;
      EXPECT_NE(reply.body.find(fmt::format("\"id\":\"{}\"", name->second)), std::string::npos);
      EXPECT_EQ(Get("/v1/responses/" + name->second).status, 200);
    }
  }
}

}  // namespace
}  // namespace reprise

// Figures over time and the live stream, over real connections and a fake engine.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "fixtures/fake_server.h"

namespace reprise {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

class WatchServerTest : public FakeServerTest {
 protected:
  static std::string Bytes(std::string_view method, std::string_view path, std::string_view key,
                           std::string_view body = "") {
    return fmt::format(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {}\r\nContent-Type: application/json\r\n"
        "Content-Length: {}\r\n\r\n{}",
        method, path, key, body.size(), body);
  }
  HttpReply Ask(std::string_view method, std::string_view path, std::string_view key = "none",
                std::string_view body = "") {
    TestClient client(server_->port());
    client.Send(Bytes(method, path, key, body));
    return client.Read(method == "HEAD");
  }
  json::value Page(std::string_view path, std::string_view key = "none") {
    return json::parse(Ask("GET", path, key).body);
  }
  std::unique_ptr<TestClient> Watch(std::string_view key = "none", int receive_buffer_bytes = 0) {
    auto client = std::make_unique<TestClient>(server_->port(), receive_buffer_bytes);
    client->Send(Bytes("GET", "/cache/watch", key));
    return client;
  }
  // Reads on until an event of the name has come, and takes all that came up to its end.
  static json::value Next(TestClient& client, std::string_view event) {
    const std::string name = fmt::format("event: {}\ndata: ", event);
    if (!client.ReadUntil(name)) return nullptr;
    client.buffer.erase(0, client.buffer.find(name) + name.size());
    if (!client.ReadUntil("\n\n")) return nullptr;
    return json::parse(client.buffer.substr(0, client.buffer.find("\n\n")));
  }
  // `cached` of the prompt's tokens are read, which spares half a second.
  void AnswerWith(int cached) {
    engine_.AnswerWith([cached](const GenerationRequest& request, const EventSink& sink) {
      StartedEvent started{static_cast<int>(request.prompt.size()), cached};
      started.saved_seconds = cached > 0 ? 0.5 : 0;
      sink(std::move(started));
      if (WorkDone* work = request.work.get()) {  // not of what is prepared after a reply
        work->computed += static_cast<int>(request.prompt.size()) - cached;
        work->generated += 2;
      }
      sink(Text("aa"));
      sink(Finished(request, cached, {5, 6}));
    });
  }
  void UseKeys() {
    constexpr const char* kKeys = "key-a a/one\nkey-b b/two\nkey-admin ops/all admin\n";
    server_->ReplaceKeys(ApiKeys::Parse(kKeys, "keys").value());
  }
};

TEST_F(WatchServerTest, SavingsAreTheSumOfWhatRequestsRead) {
  const json::value before = Page("/savings").at("total").at("since_start");
  EXPECT_EQ(before, json::parse(R"({"requests":0,"tokens":{"prompt":0,"read":0,"computed":0,
      "generated":0},"read_share":null,"waiting_seconds":0.0,"cpu_seconds":0.0,"first_token":{
      "cold":{"requests":0,"median_ms":null},"cached":{"requests":0,"median_ms":null}}})"));
  AnswerWith(0);
  const json::value usage =
      json::parse(Ask("POST", "/v1/chat/completions", "none", kChat).body).at("usage");
  const int64_t prompt = usage.at("prompt_tokens").as_int64();
  AnswerWith(static_cast<int>(prompt) - 1);
  Ask("POST", "/v1/chat/completions", "none", kChat);
  Ask("POST", "/v1/chat/completions", "none", kChat);
  const json::value page = Page("/savings");
  const json::value& all = page.at("total").at("since_start");
  EXPECT_EQ(all.at("requests"), 3);
  EXPECT_EQ(all.at("tokens").at("prompt"), 3 * prompt);
  EXPECT_EQ(all.at("tokens").at("read"), 2 * (prompt - 1));
  EXPECT_EQ(all.at("tokens").at("computed"), prompt + 2);
  EXPECT_EQ(all.at("tokens").at("generated"), 6);
  EXPECT_DOUBLE_EQ(all.at("read_share").as_double(),
                   static_cast<double>(2 * (prompt - 1)) / static_cast<double>(3 * prompt));
  EXPECT_EQ(all.at("waiting_seconds"), 1.0);
  EXPECT_EQ(all.at("cpu_seconds"), 1.0) << "one thread";
  EXPECT_EQ(all.at("first_token").at("cold").at("requests"), 1);
  EXPECT_EQ(all.at("first_token").at("cached").at("requests"), 2);
  EXPECT_TRUE(all.at("first_token").at("cached").at("median_ms").is_double());
  EXPECT_EQ(page.at("total").at("last_hour"), all);
  EXPECT_EQ(page.at("tenants").at(0).at("since_start"), all);
  const json::value entry = Page("/cache/requests").at("requests").at(0);
  EXPECT_EQ(entry.at("generated"), 2);
  EXPECT_EQ(entry.at("saved_ms"), 500.0);
  EXPECT_GT(entry.at("first_token_ms").as_double(), 0);
}

TEST_F(WatchServerTest, TheSeriesHoldsWhatTheSavingsSum) {
  EngineSnapshot snapshot;
  snapshot.total.cache = {.total_blocks = 100,
                          .free_blocks = 40,
                          .cached_blocks = 50,
                          .private_blocks = 10,
                          .leased_blocks = 8,
                          .pinned_blocks = 12,
                          .held_blocks = 15};
  snapshot.total.running = 3;
  engine_.SetSnapshot(snapshot);
  AnswerWith(3);
  Ask("POST", "/v1/chat/completions", "none", kChat);
  std::this_thread::sleep_for(1100ms);  // past the next whole second
  for (const char* span : {"10m", "24h"}) {
    const json::value page = Page(fmt::format("/cache/series?span={}", span));
    EXPECT_EQ(page.at("span"), span);
    const json::object& columns = page.at("columns").as_object();
    const auto sum = [&](const char* name) {
      int64_t all = 0;
      for (const json::value& each : columns.at(name).as_array()) all += each.as_int64();
      return all;
    };
    EXPECT_EQ(sum("requests"), 1);
    EXPECT_EQ(sum("read"), 3);
    EXPECT_EQ(sum("generated"), 2);
    EXPECT_EQ(sum("prompt"), sum("read") + sum("computed"));
    const auto last = [&](const char* name) { return columns.at(name).as_array().back(); };
    EXPECT_EQ(last("running"), 3);
    EXPECT_EQ(last("blocks_free"), 40);
    EXPECT_EQ(last("blocks_automatic"), 35) << "50 cached, 15 of them held";
    EXPECT_EQ(last("blocks_promised"), 7) << "15 held, 8 of them by requests";
    EXPECT_EQ(last("blocks_leased"), 18) << "private ones are requests' too";
    EXPECT_FALSE(columns.contains("disk_bytes"));
    const size_t steps = columns.at("time").as_array().size();
    for (const auto& [name, column] : columns) EXPECT_EQ(column.as_array().size(), steps) << name;
  }
  EXPECT_EQ(Page("/cache/series").at("step_seconds"), 1);
  EXPECT_EQ(Ask("GET", "/cache/series?span=1h").status, 400);
}

TEST_F(WatchServerTest, ASampleComesAtOnceAndEachSecond) {
  const auto client = Watch();
  const auto begin = std::chrono::steady_clock::now();
  const json::value first = Next(*client, "sample");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_EQ(first.at("cache"), Page("/cache"));
  Next(*client, "sample");
  const json::value third = Next(*client, "sample");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  EXPECT_GE(third.at("time").as_int64(), first.at("time").as_int64() + 1);
  const json::value series = Page("/cache/series");
  for (const auto& [name, column] : series.at("columns").as_object()) {
    EXPECT_TRUE(third.as_object().contains(name)) << name;
  }
}

TEST_F(WatchServerTest, ARequestIsToldAsItGoes) {
  const auto client = Watch();
  Next(*client, "sample");
  TestClient asking(server_->port());
  asking.Post("/v1/chat/completions", kChat);
  ASSERT_TRUE(engine_.WaitForRequests(1));
  json::value told = Next(*client, "request");
  EXPECT_EQ(told.at("state"), "queued");
  const std::string id(told.at("id").as_string());
  engine_.Send(0, StartedEvent{9, 4});
  told = Next(*client, "request");
  EXPECT_EQ(told.at("state"), "computing");
  EXPECT_EQ(told.at("tokens").at("read"), 4);
  EXPECT_TRUE(told.at("first_token_ms").is_null());
  const auto sent = std::chrono::steady_clock::now();
  engine_.Send(0, Text("a"));
  told = Next(*client, "request");
  EXPECT_LT(std::chrono::steady_clock::now() - sent, 5s);
  EXPECT_GT(told.at("first_token_ms").as_double(), 0);
  engine_.Send(0, Finished(engine_.request(0), 4, {5}));
  told = Next(*client, "request");
  EXPECT_EQ(told.at("state"), "finished");
  EXPECT_EQ(told.at("id").as_string(), id);
}

TEST_F(WatchServerTest, AChangeOfTheTreeIsTold) {
  const auto client = Watch();
  Next(*client, "sample");
  Next(*client, "sample");
  EXPECT_EQ(client->buffer.find("event: tree"), std::string::npos) << "nothing has changed";
  EngineSnapshot snapshot;
  snapshot.total.cache.cached_blocks = 5;
  engine_.SetSnapshot(snapshot);
  EXPECT_EQ(Next(*client, "tree"), json::parse("{}"));
}

TEST_F(WatchServerTest, ATenantIsToldOfItsOwnAlone) {
  UseKeys();
  const auto own = Watch("key-a"), other = Watch("key-b"), admin = Watch("key-admin");
  for (const auto& client : {&own, &other, &admin}) Next(**client, "sample");
  AnswerWith(3);
  Ask("POST", "/v1/chat/completions", "key-a", kChat);
  EXPECT_FALSE(Next(*own, "request").as_object().contains("tenant"));
  EXPECT_EQ(Next(*admin, "request").at("tenant"), "a/one");
  for (int i = 0; i < 2; ++i) {
    const json::value sample = Next(*other, "sample");
    EXPECT_EQ(sample.at("requests"), 0);
    EXPECT_FALSE(sample.as_object().contains("running"));
    EXPECT_EQ(sample.at("cache").at("tenant"), "b/two");
  }
  EXPECT_EQ(other->buffer.find("event: request"), std::string::npos);
  const json::value a = Page("/savings", "key-a"), b = Page("/savings", "key-b");
  EXPECT_EQ(a.at("total").at("since_start").at("tokens").at("read"), 3);
  EXPECT_EQ(a.at("tenants").as_array().size(), 1U);
  EXPECT_EQ(a.at("tenants").at(0).at("tenant"), "a/one");
  EXPECT_EQ(b.at("total").at("since_start").at("requests"), 0);
  EXPECT_EQ(b.at("tenants").at(0).at("tenant"), "b/two");
  EXPECT_EQ(Page("/savings", "key-admin").at("total").at("since_start").at("requests"), 1);
  const json::value columns = Page("/cache/series", "key-b").at("columns");
  EXPECT_EQ(columns.as_object().size(), 10U);
  for (const char* name : {"running", "waiting", "blocks_free", "blocks_leased"}) {
    EXPECT_FALSE(columns.as_object().contains(name)) << name;
  }
}

TEST_F(WatchServerTest, TheTenantsSeriesShowsItsBlocks) {
  UseKeys();
  AnswerWith(0);
  Ask("POST", "/v1/chat/completions", "key-a", kChat);
  EngineSnapshot snapshot;
  snapshot.total.cache.cached_blocks = 9;
  TenantStats tenant;
  tenant.cache.tenant = "a/one";
  tenant.cache.cached_blocks = 7;
  tenant.cache.pinned_blocks = 3;
  snapshot.tenants.push_back(tenant);
  engine_.SetSnapshot(snapshot);
  json::value columns;
  for (int i = 0; i < 50; ++i) {
    columns = Page("/cache/series", "key-a").at("columns");
    if (columns.at("blocks_promised").as_array().back() == 3) break;
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_EQ(columns.at("blocks_promised").as_array().back(), 3);
  EXPECT_EQ(columns.at("blocks_automatic").as_array().back(), 4);
}

TEST_F(WatchServerTest, HeadSaysWhatWouldComeAndEnds) {
  TestClient client(server_->port());
  client.Send(Bytes("HEAD", "/cache/watch", "none"));
  const HttpReply head = client.Read(/*head_only=*/true);
  EXPECT_EQ(head.status, 200);
  EXPECT_TRUE(head.headers.at("content-type").starts_with("text/event-stream"));
  client.Send(Bytes("GET", "/health", "none"));
  EXPECT_EQ(client.Read().status, 200) << "the connection goes on";
}

TEST_F(WatchServerTest, TheServersStopEndsAStreamAtOnceAndItDelaysNothing) {
  const auto client = Watch();
  Next(*client, "sample");
  const auto begin = std::chrono::steady_clock::now();
  server_->Stop(60s);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  EXPECT_TRUE(client->ReadToClose());
  EXPECT_TRUE(client->buffer.ends_with("0\r\n\r\n"))
      << "a stream that came to its end: " << client->buffer;
}

TEST_F(WatchServerTest, OneThatDoesNotReadHoldsUpNoDraining) {
  const auto slow = Watch("none", 4096);
  ASSERT_TRUE(slow->ReadUntil("event: sample"));
  TestClient asking(server_->port());
  asking.Post("/v1/chat/completions",
              R"({"stream":true,"messages":[{"role":"user","content":"hello"}]})");
  ASSERT_TRUE(engine_.WaitForRequests(1));
  engine_.Send(0, StartedEvent{9, 0});
  engine_.Send(0, Text("a"));
  ASSERT_TRUE(asking.ReadUntil(R"("content":"a")")) << "it has begun";
  std::thread finishing([this] {
    std::this_thread::sleep_for(200ms);
    engine_.Send(0, Finished(engine_.request(0), 0, {5}));
  });
  const auto begin = std::chrono::steady_clock::now();
  server_->Stop(60s);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  EXPECT_TRUE(asking.ReadUntil("[DONE]")) << "what had begun came to its end";
  finishing.join();
}

TEST_F(WatchServerTest, NoMoreThan64WatchAtOnce) {
  std::vector<std::unique_ptr<TestClient>> clients;
  for (size_t i = 0; i < limits::kMaxWatchers; ++i) {
    clients.push_back(Watch());
    ASSERT_FALSE(Next(*clients.back(), "sample").is_null()) << i;
  }
  EXPECT_EQ(Ask("GET", "/cache/watch").status, 429);
  clients.pop_back();
  for (int i = 0; i < 50; ++i) {
    clients.push_back(Watch());
    ASSERT_TRUE(clients.back()->ReadUntil("\r\n"));
    if (clients.back()->buffer.starts_with("HTTP/1.1 200")) return;
    std::this_thread::sleep_for(20ms);
  }
  FAIL() << "a place that became free stayed taken";
}

TEST_F(WatchServerTest, WhoDoesNotReadIsCutAndHoldsUpNobody) {
  const auto slow = Watch("none", 4096), quick = Watch();
  ASSERT_TRUE(slow->ReadUntil("event: sample"));
  std::jthread reading([&quick](const std::stop_token& stop) {
    while (!stop.stop_requested() && !Next(*quick, "sample").is_null()) {
    }
  });
  AnswerWith(0);
  const std::string body =
      fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"hello"}}]}})",
                  std::string(15'000, 'm'));
  for (int i = 0; i < 1500; ++i) {
    ASSERT_EQ(Ask("POST", "/v1/chat/completions", "none", body).status, 200);
    if (i % 50 == 49) std::this_thread::sleep_for(100ms);  // or the history forgets some untold
  }
  EXPECT_TRUE(slow->ReadToClose()) << "22 MB were told, of which the system holds some";
  reading.request_stop();
  reading.join();
  EXPECT_FALSE(Next(*quick, "sample").is_null());
}

}  // namespace
}  // namespace reprise

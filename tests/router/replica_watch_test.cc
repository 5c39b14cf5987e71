// Following replicas over real connections, played by a small server that says what a test tells
// it, and by a whole one.

#include "router/replica_watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/as_tuple.h"
#include "played_replica.h"
#include "router/fleet_knowledge.h"
#include "router/replica_names.h"
#include "text/vocabulary_hash.h"
#include "vendor/openai/endpoints.h"

namespace reprise {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

// Answers each connection with the next of what it was told to say, then keeps it open or closes.
class PlayedStream {
 public:
  struct Answer {
    std::string text;
    bool closes = false;
  };
  PlayedStream(asio::io_context& io, std::vector<Answer> answers)
      : acceptor_(io, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0)),
        answers_(std::move(answers)) {
    asio::co_spawn(io, Serve(), asio::detached);
  }

  uint16_t port() const { return acceptor_.local_endpoint().port(); }
  size_t asked() const { return requests_.size(); }
  const std::string& request(size_t index) const { return requests_[index]; }

 private:
  asio::awaitable<void> Serve() {
    for (;;) {
      auto [failure, socket] = co_await acceptor_.async_accept(kAsTuple);
      if (failure) co_return;
      std::string request(4096, '\0');
      const auto [lost, count] = co_await socket.async_read_some(asio::buffer(request), kAsTuple);
      request.resize(count);
      requests_.push_back(request);
      const Answer& answer = answers_[std::min(requests_.size(), answers_.size()) - 1];
      co_await asio::async_write(socket, asio::buffer(answer.text), kAsTuple);
      if (!answer.closes) open_.push_back(std::move(socket));
    }
  }

  tcp::acceptor acceptor_;
  std::vector<Answer> answers_;
  std::vector<std::string> requests_;
  std::vector<tcp::socket> open_;
};

std::string Stream(const std::string& events) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + events;
}

std::string Beginning(std::string_view process, std::string_view block) {
  return fmt::format(
      "event: hello\ndata: {{\"process\":\"{}\",\"model\":\"tiny\",\"identity\":\"{}\","
      "\"block_tokens\":32,\"context\":4096,\"template\":\"{}\",\"vocabulary\":\"{}\","
      "\"cache_key_isolates\":false,"
      "\"drop_billing_line\":true,\"cache_minimum_tokens\":0,\"places\":[\"memory\"]}}\n\n"
      "event: blocks\ndata: {{\"place\":\"memory\",\"sequence\":9,\"snapshot\":\"whole\","
      "\"stored\":[{{\"parent\":null,\"blocks\":[\"{}\"],\"tokens\":32}}],\"removed\":[]}}\n\n",
      process, std::string(64, '0'), TemplateHash(kChatMl),
      VocabularyHash(TestModel().tokenizer->vocabulary()), block);
}

class ReplicaWatchTest : public ::testing::Test {
 protected:
  ReplicaWatchTest() { SetLogLevel(LogLevel::kOff); }
  ~ReplicaWatchTest() override {
    if (knowledge_) knowledge_->Stop();
  }

  void Follow(uint16_t port, Duration silence = 60s) {
    FleetKnowledge::Options options{.reader = ReaderOf(TestModel(), kChatMl),
                                    .max_blocks = 1024,
                                    .fleet_token = "a token of the fleet",
                                    .silence = silence};
    knowledge_ = std::make_unique<FleetKnowledge>(io_.get_executor(), std::move(options));
    link_ = std::make_shared<ReplicaLink>(io_.get_executor(), 0, ReplicaAddress{"127.0.0.1", port},
                                          [](Replica&) {});
    knowledge_->Follow(link_);
  }
  bool RunUntil(const std::function<bool()>& condition) {
    const TimePoint give_up = std::chrono::steady_clock::now() + 60s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      io_.run_for(5ms);
      io_.restart();
    }
    return true;
  }
  bool Holds(BlockName name) const {
    std::vector<Reach> reach(1);
    knowledge_->holdings().Find(std::vector<BlockName>{name}, reach);
    return reach[0].memory_blocks == 1;
  }

  asio::io_context io_;
  std::unique_ptr<FleetKnowledge> knowledge_;
  std::shared_ptr<ReplicaLink> link_;
};

TEST_F(ReplicaWatchTest, AGapIsAnsweredByAFreshStreamWithItsSnapshot) {
  const std::string gap =
      "event: blocks\ndata: "
      "{\"place\":\"memory\",\"sequence\":11,\"stored\":[],\"removed\":[]}\n\n";
  PlayedStream stream(io_, {{Stream(Beginning("aa", "0000000000000001") + gap)},
                            {Stream(Beginning("aa", "0000000000000002"))}});
  Follow(stream.port());
  ASSERT_TRUE(RunUntil([&] { return stream.asked() == 2 && link_->replica.told.followed; }));
  EXPECT_TRUE(Holds(2));
  EXPECT_FALSE(Holds(1));
  EXPECT_TRUE(stream.request(0).starts_with("GET /cache/events HTTP/1.1\r\n"));
  EXPECT_NE(stream.request(0).find("Authorization: Bearer a token of the fleet\r\n"),
            std::string::npos);
}

TEST_F(ReplicaWatchTest, AReplicaWhoseStreamIsCutIsColdUntilItsNextSnapshot) {
  PlayedStream stream(io_, {{Stream(Beginning("aa", "0000000000000001")), /*closes=*/true},
                            {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"},
                            {Stream(Beginning("bb", "0000000000000002"))}});
  Follow(stream.port());
  ASSERT_TRUE(RunUntil([&] { return stream.asked() == 2; }));
  EXPECT_FALSE(link_->replica.told.followed);
  EXPECT_FALSE(Holds(1));
  ASSERT_TRUE(RunUntil([&] { return link_->replica.told.followed; }));
  EXPECT_TRUE(Holds(2));
}

TEST_F(ReplicaWatchTest, AStreamThatFallsSilentIsBegunAnew) {
  PlayedStream stream(io_, {{Stream(Beginning("aa", "0000000000000001"))}});
  Follow(stream.port(), 50ms);
  ASSERT_TRUE(RunUntil([&] { return link_->replica.told.followed; }));
  EXPECT_TRUE(RunUntil([&] { return stream.asked() == 2; }));
}

TEST_F(ReplicaWatchTest, WhatWasSentToAReplicaThatIsNotFollowedWaitsThere) {
  PlayedStream stream(io_, {{"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"}});
  Follow(stream.port());
  ASSERT_TRUE(RunUntil([&] { return stream.asked() == 1; }));
  const auto prompt = std::make_shared<const RoutedPrompt>();
  const TimePoint now = std::chrono::steady_clock::now();
  const PromptTurn turn(*knowledge_, link_->replica, prompt, {.work_seconds = 2}, {});
  knowledge_->EstimateLoad(link_->replica, now);
  EXPECT_EQ(link_->replica.told.load.ahead_seconds, 2);
  EXPECT_EQ(link_->replica.told.load.told, now);
}

TEST_F(ReplicaWatchTest, AReplicaThatIsLostForAMomentStillHasItsResponses) {
  PlayedStream stream(io_, {{Stream(Beginning("aa", "0000000000000001"))}});
  Follow(stream.port());
  knowledge_->responses().Note("resp_1", 0);
  link_->replica.health = Replica::Health::kDead;
  knowledge_->NoteHealth(link_->replica);
  EXPECT_EQ(knowledge_->responses().Find("resp_1"), 0U);
  knowledge_->Forget(link_->replica);
  EXPECT_FALSE(knowledge_->responses().Find("resp_1"));
}

TEST_F(ReplicaWatchTest, ForgottenReplicasAreFollowedNoMore) {
  PlayedStream stream(io_, {{Stream(Beginning("aa", "0000000000000001"))}});
  Follow(stream.port(), 50ms);
  ASSERT_TRUE(RunUntil([&] { return link_->replica.told.followed; }));
  knowledge_->Forget(link_->replica);
  EXPECT_FALSE(Holds(1));
  const size_t asked = stream.asked();
  io_.run_for(1200ms);  // in which it would fall silent and be asked again
  EXPECT_EQ(stream.asked(), asked);
}

TEST_F(ReplicaWatchTest, APromptIsFoundWhereARealServerToldOfItsBlocks) {
  PlayedReplica played(kChatMl);
  Follow(static_cast<uint16_t>(played.server->port()));
  ASSERT_TRUE(RunUntil([&] { return link_->replica.told.followed; }));
  const std::string body = fmt::format(R"({{"prompt":"{}"}})", std::string(100, 'x'));
  const auto prompt = knowledge_->Reading(kTextCompletions, body, "")();
  ASSERT_TRUE(prompt);
  ASSERT_EQ(prompt->chains.size(), 1U);
  const std::vector<BlockName>& names = prompt->chains[0].names;
  ASSERT_EQ(names.size(), 3U);
  std::vector<Reach> reach(1);
  knowledge_->Find(*prompt, reach);
  EXPECT_EQ(reach[0].memory_blocks, 0U);
  played.engine.TellBlocks(
      {.sequence = 1,
       .removed = {},
       .stored = {{.parent = std::nullopt, .blocks = {names[0], names[1]}, .tokens = {}}}});
  EXPECT_TRUE(RunUntil([&] {
    knowledge_->Find(*prompt, reach);
    return reach[0].memory_blocks == 2;
  }));
  const PromptShape shape = knowledge_->ShapeOf(*prompt);
  EXPECT_EQ(shape.tokens, prompt->tokens.size());
  EXPECT_EQ(shape.tie, names.back());
}

TEST_F(ReplicaWatchTest, AnEngineThatIsNotFollowedIsGuessedByItsAnswers) {
  knowledge_ = std::make_unique<FleetKnowledge>(
      io_.get_executor(),
      FleetKnowledge::Options{.reader = nullptr, .max_blocks = 1024, .fleet_token = {}});
  Replica replica(0, {"127.0.0.1", 1});
  const std::string body = fmt::format(R"({{"prompt":"{}"}})", std::string(2048, 'x'));
  const auto prompt =
      std::make_shared<const RoutedPrompt>(*knowledge_->Reading(kTextCompletions, body, "")());
  std::vector<Reach> reach(1);
  {
    const Decision decision{.work_seconds = 3};
    PromptTurn turn(*knowledge_, replica, prompt, decision, reach[0]);
    knowledge_->EstimateLoad(replica, TimePoint(1s));
    EXPECT_EQ(replica.told.load.ahead_seconds, 3);
    ReplyHead head;
    head.status = 200;
    head.fields = {{"X-Reprise-Stored-Response", "resp_1"}};
    turn.Begin(head);
    turn.Put(R"({"usage":{"prompt_tokens":500,)");
    turn.Put(R"("prompt_tokens_details":{"cached_tokens":0}}})");
    turn.End();
    EXPECT_EQ(turn.usage(), (PromptUsage{500, 0}));
  }
  knowledge_->EstimateLoad(replica, TimePoint(1s));
  EXPECT_EQ(replica.told.load.ahead_seconds, 0);
  EXPECT_GT(replica.told.load.seconds_per_token, 0);
  EXPECT_EQ(knowledge_->responses().Find("resp_1"), 0U);
  knowledge_->Find(*prompt, reach);
  EXPECT_EQ(reach[0].memory_blocks, 8U);
  {  // One that refuses holds nothing of it, and one that breaks off is not waited for.
    const auto other = std::make_shared<const RoutedPrompt>(
        *knowledge_->Reading(kTextCompletions, body, "tenant")());
    PromptTurn turn(*knowledge_, replica, other, Decision{.work_seconds = 2}, {});
    ReplyHead head;
    head.status = 400;
    turn.Begin(head);
    turn.Put(R"({"usage":{"prompt_tokens":500}})");
    EXPECT_EQ(turn.usage(), std::nullopt);
    std::vector<Reach> none(1);
    knowledge_->Find(*other, none);
    EXPECT_EQ(none[0].memory_blocks, 0U);
    const PromptTurn broken(*knowledge_, replica, other, Decision{.work_seconds = 2}, {});
  }
  knowledge_->EstimateLoad(replica, TimePoint(1s));
  EXPECT_EQ(replica.told.load.ahead_seconds, 0);
  replica.health = Replica::Health::kDead;
  knowledge_->NoteHealth(replica);
  knowledge_->Find(*prompt, reach);
  EXPECT_EQ(reach[0].memory_blocks, 0U);
}

class ReplicaNamesTest : public ::testing::Test {
 protected:
  using Found = Result<std::vector<ReplicaAddress>>;
  ReplicaNamesTest() { SetLogLevel(LogLevel::kOff); }

  void Ask(Found answer) {
    answer_ = std::move(answer);
    asio::co_spawn(io_, names_->AskOnce(), asio::detached);
    io_.run();
    io_.restart();
  }

  asio::io_context io_;
  Found answer_;
  std::vector<std::vector<ReplicaAddress>> taken_;
  std::shared_ptr<ReplicaNames> names_ = std::make_shared<ReplicaNames>(
      io_.get_executor(), ReplicaAddress{"replicas", 8080},
      [this](std::vector<ReplicaAddress> addresses) { taken_.push_back(std::move(addresses)); },
      [this](ReplicaAddress) -> asio::awaitable<Found> { co_return answer_; });
};

TEST_F(ReplicaNamesTest, ReplicasComeAndGoWithTheNamesAddresses) {
  const ReplicaAddress a{"10.0.0.1", 8080}, b{"10.0.0.2", 8080};
  Ask(std::vector{b, a, b});
  ASSERT_EQ(taken_.size(), 1U);
  EXPECT_EQ(taken_[0], (std::vector{a, b}));
  Ask(std::vector{a, b});
  EXPECT_EQ(taken_.size(), 1U) << "the same in another order";
  Ask(std::vector{b});
  ASSERT_EQ(taken_.size(), 2U);
  EXPECT_EQ(taken_[1], std::vector{b});
  Ask(std::vector{a});
  ASSERT_EQ(taken_.size(), 3U);
  EXPECT_EQ(taken_[2], std::vector{a});
}

TEST_F(ReplicaNamesTest, WhileANameCannotBeResolvedWhatIsKnownStays) {
  const ReplicaAddress a{"10.0.0.1", 8080};
  Ask(std::vector{a});
  Ask(Fail(ErrorCode::kIo, "no such host"));
  Ask(std::vector<ReplicaAddress>());
  EXPECT_EQ(taken_.size(), 1U);
  Ask(std::vector{a});
  EXPECT_EQ(taken_.size(), 1U);
}

TEST_F(ReplicaNamesTest, NamesAreResolvedByTheSystem) {
  names_ = std::make_shared<ReplicaNames>(
      io_.get_executor(), ReplicaAddress{"localhost", 8080},
      [this](std::vector<ReplicaAddress> addresses) { taken_.push_back(std::move(addresses)); });
  Ask(std::vector<ReplicaAddress>());
  ASSERT_EQ(taken_.size(), 1U);
  EXPECT_NE(std::ranges::find(taken_[0], ReplicaAddress{"127.0.0.1", 8080}), taken_[0].end());
}

}  // namespace
}  // namespace reprise

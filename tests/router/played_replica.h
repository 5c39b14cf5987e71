#pragma once

// A replica as a test's router meets it: a server over a fake engine, with a reader and what
// follows its events beside it, as a router would have them.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/server.h"
#include "base/log.h"
#include "fixtures/fake_engine.h"
#include "fixtures/test_client.h"
#include "fixtures/test_model.h"
#include "router/prompt_reader.h"
#include "router/replica_events.h"
#include "router/reply_parser.h"
#include "router/sse_reader.h"

namespace reprise {

// What a router makes of the texts of TestModel(source).
inline std::shared_ptr<PromptReader> ReaderOf(const ServedModel& model, std::string source) {
  ServedModel described = DescribeTexts({.tokenizer = model.tokenizer,
                                         .chat_template = model.chat_template,
                                         .chat_template_source = std::move(source),
                                         .bos_token = model.bos_token,
                                         .eos_token = model.eos_token,
                                         .tool_format = std::nullopt});
  described.name = "tiny";
  return std::make_shared<PromptReader>(std::move(described));
}

class PlayedReplica {
 public:
  explicit PlayedReplica(const std::string& template_source, ApiPolicy policy = {})
      : model(TestModel(template_source.c_str())), reader(ReaderOf(model, template_source)) {
    SetLogLevel(LogLevel::kError);
    EngineSnapshot snapshot;
    snapshot.total.block_tokens = 32;
    engine.SetSnapshot(snapshot);
    engine.TellBlocks({.kind = BlockChanges::Kind::kSnapshot, .begins = true, .ends = true});
    engine.AnswerWith([this](const GenerationRequest& request, const EventSink& sink) {
      sink(Started(static_cast<int>(request.prompt.size()), 0));
      if (request.priority != Priority::kBackground && !reply.empty()) sink(Text(reply));
      sink(Finished(request, 0, std::vector<TokenId>(reply.empty() ? 0 : 1, 5)));
    });
    ServerOptions options;
    options.port = 0;
    options.model_name = "tiny";
    options.chat_template_source = template_source;
    options.bos_token = model.bos_token;
    options.eos_token = model.eos_token;
    options.policy = policy;
    server = Server::Start(engine, model.tokenizer, model.chat_template, options).value();
    follower = std::make_unique<TestClient>(server->port());
    follower->Get("/cache/events");
    events.Begin();
  }

  // Takes in what it tells until an event of that name has come.
  bool FollowUntil(std::string_view name) {
    while (!TakeEvents(name)) {
      if (!follower->Receive()) return false;
    }
    return true;
  }

  const ServedModel model;
  const std::shared_ptr<PromptReader> reader;
  std::string reply = "fine";
  FakeEngine engine{model.vocabulary};
  std::unique_ptr<Server> server;
  Holdings holdings{1024};
  ReplicaLore lore{.holdings = holdings, .reader = *reader, .terms = {}};
  Replica replica{0, {"127.0.0.1", 1}};
  ReplicaEvents events{replica, lore};
  std::unique_ptr<TestClient> follower;

 private:
  bool TakeEvents(std::string_view name) {
    bool ok = true, found = false;
    follower->buffer.erase(0, parser_.Put(follower->buffer, ok));
    EXPECT_TRUE(ok);
    sse_.Put(parser_.TakeBody(), [&](std::string_view event, std::string_view data) {
      const Status taken = events.Take(event, data, std::chrono::steady_clock::now());
      EXPECT_TRUE(taken) << event << ": " << taken.error().message;
      found = found || event == name;
    });
    return found;
  }

  ReplyParser parser_{/*head_only=*/false};
  SseReader sse_;
};

}  // namespace reprise

// Anthropic's shapes of a reply, and both vendors' counts of the same events.

#include "vendor/anthropic/reply.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "fixtures/test_model.h"
#include "vendor/openai/reply.h"

namespace reprise {
namespace {

namespace json = boost::json;
using std::chrono::hours;
using std::chrono::minutes;

// 100 tokens, 20 of them read; kept for an hour up to 50, for five minutes up to 90; a further mark
// was not accepted.
Choice Marked() {
  Choice choice;
  StartedEvent started;
  started.prompt_tokens = 100;
  started.cached_tokens = 20;
  started.breakpoints = {{10, hours(1), PinDecision::kAccepted},
                         {50, hours(1), PinDecision::kAccepted},
                         {90, minutes(5), PinDecision::kAccepted},
                         {95, minutes(5), PinDecision::kPoolFull}};
  choice.started = started;
  return choice;
}

void Finish(Choice& choice, FinishReason reason, int tokens) {
  FinishedEvent event;
  event.reason = reason;
  event.stop_string = reason == FinishReason::kStopString ? "END" : "";
  event.completion_tokens = tokens;
  choice.finished = event;
}

AnthropicReply Messages(int max_tokens = 7) {
  ReplyLabel label;
  label.id = "msg_1";
  label.request_id = "req_1";
  label.model = "tiny";
  return AnthropicReply(label, max_tokens);
}

// The events of a stream: each name with its data.
std::vector<std::pair<std::string, json::value>> Events(const std::string& stream) {
  std::vector<std::pair<std::string, json::value>> events;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find("\n\n", at);
    const std::string event = stream.substr(at, end - at);
    const size_t data = event.find("\ndata: ");
    EXPECT_TRUE(event.starts_with("event: ") && data != std::string::npos) << event;
    events.emplace_back(event.substr(7, data - 7), json::parse(event.substr(data + 7)));
    EXPECT_EQ(events.back().second.at("type"), json::string(events.back().first));
    at = end + 2;
  }
  return events;
}

TEST(MessagesReplyTest, BothVendorsCountTheSameEvents) {
  std::vector<Choice> choices;
  choices.push_back(Marked());
  choices[0].Add({ReplyPiece::Kind::kText, "hi"}, "");
  Finish(choices[0], FinishReason::kStop, 3);
  const CallUsage usage = UsageOf(choices, 1);

  const json::value message = json::parse(Messages().Body(choices, usage));
  const json::value& disjoint = message.at("usage");
  EXPECT_EQ(disjoint.at("cache_read_input_tokens"), 20);
  EXPECT_EQ(disjoint.at("cache_creation_input_tokens"), 70);
  EXPECT_EQ(disjoint.at("input_tokens"), 10);
  EXPECT_EQ(disjoint.at("output_tokens"), 3);
  EXPECT_EQ(disjoint.at("cache_creation"),
            (json::object{{"ephemeral_5m_input_tokens", 40}, {"ephemeral_1h_input_tokens", 30}}));

  const ServedModel model = TestModel();
  const OpenAiReply openai(OpenAiObject::kChat, {}, {}, *model.tokenizer);
  const json::value completion = json::parse(openai.Body(choices, usage));
  const json::value& inclusive = completion.at("usage");
  EXPECT_EQ(inclusive.at("prompt_tokens"), 100);
  EXPECT_EQ(inclusive.at("prompt_tokens_details").at("cached_tokens"), 20);
  EXPECT_EQ(inclusive.at("prompt_tokens_details").at("cache_write_tokens"), 70);
  EXPECT_EQ(inclusive.at("completion_tokens"), 3);
}

TEST(MessagesReplyTest, EveryCountIsThereWhenThereIsNothingToCount) {
  std::vector<Choice> choices(1);
  choices[0].started = StartedEvent{5, 0};
  Finish(choices[0], FinishReason::kStop, 1);
  const json::value usage = json::parse(Messages().Body(choices, UsageOf(choices, 1))).at("usage");
  for (const char* name : {"cache_read_input_tokens", "cache_creation_input_tokens"}) {
    EXPECT_EQ(usage.at(name), 0) << name;
  }
  EXPECT_EQ(usage.at("cache_creation").as_object().size(), 2U);
}

TEST(MessagesReplyTest, AStreamsEventsComeInTheVendorsOrderWithEqualCounters) {
  const AnthropicReply reply = Messages();
  Choice choice = Marked();
  std::string stream;
  reply.WriteStart(0, choice, stream);
  for (const char* text : {"he", "llo"}) {
    const ReplyPiece piece{ReplyPiece::Kind::kText, text};
    const bool begins = choice.Add(piece, "");
    reply.WritePiece(0, piece, begins, choice, stream);
  }
  Finish(choice, FinishReason::kLength, 7);
  reply.WriteFinish(0, choice, stream);
  reply.WriteEnd({}, stream);
  const auto events = Events(stream);
  std::vector<std::string> names;
  for (const auto& [name, data] : events) names.push_back(name);
  ASSERT_EQ(names,
            (std::vector<std::string>{"message_start", "content_block_start", "content_block_delta",
                                      "content_block_delta", "content_block_stop", "message_delta",
                                      "message_stop"}));
  json::object begin = events[0].second.at("message").at("usage").as_object();
  json::object end = events[5].second.at("usage").as_object();
  EXPECT_TRUE(begin.contains("cache_creation"));
  EXPECT_FALSE(end.contains("cache_creation"));
  for (const char* name :
       {"input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"}) {
    EXPECT_EQ(begin.at(name), end.at(name)) << name;
  }
  EXPECT_EQ(end.at("output_tokens"), 7);
  EXPECT_EQ(events[5].second.at("delta").at("stop_reason"), "max_tokens");
  EXPECT_EQ(events[0].second.at("message").at("content"), json::array());
}

TEST(MessagesReplyTest, AReplyWithoutTextHasNoBlock) {
  const AnthropicReply reply = Messages();
  Choice choice = Marked();
  std::string stream;
  reply.WriteStart(0, choice, stream);
  Finish(choice, FinishReason::kStop, 1);
  reply.WriteFinish(0, choice, stream);
  EXPECT_EQ(Events(stream).size(), 2U);
  std::vector<Choice> choices;
  choices.push_back(std::move(choice));
  EXPECT_EQ(json::parse(reply.Body(choices, {})).at("content"), json::array());
}

TEST(MessagesReplyTest, WhyItEnded) {
  struct Row {
    FinishReason reason;
    int tokens;
    const char* shown;
  };
  for (const Row& row :
       {Row{FinishReason::kStop, 3, "end_turn"}, Row{FinishReason::kStopString, 3, "stop_sequence"},
        Row{FinishReason::kLength, 7, "max_tokens"},
        Row{FinishReason::kLength, 3, "model_context_window_exceeded"}}) {
    std::vector<Choice> choices;
    choices.push_back(Marked());
    Finish(choices[0], row.reason, row.tokens);
    const json::value message = json::parse(Messages().Body(choices, {}));
    EXPECT_EQ(message.at("stop_reason"), json::string(row.shown));
    const bool named = row.reason == FinishReason::kStopString;
    EXPECT_EQ(message.at("stop_sequence"), named ? json::value("END") : json::value(nullptr));
  }
}

TEST(MessagesReplyTest, AnErrorInMidStreamIsAnErrorEvent) {
  std::string stream;
  Messages().WriteError({ErrorCode::kOverloaded, "Too many.", ""}, stream);
  const auto events = Events(stream);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].second.at("error"),
            (json::object{{"type", "overloaded_error"}, {"message", "Too many."}}));
  EXPECT_EQ(events[0].second.at("request_id"), "req_1");
  EXPECT_EQ(Events(std::string(Messages().ping())).at(0).first, "ping");
}

}  // namespace
}  // namespace reprise

// Thinking and calls of tools on the wire of all three APIs, over real sockets, with an engine that
// says what a thinking model would.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>
#include <string>
#include <vector>

#include "api/server.h"
#include "fixtures/fake_server.h"

namespace reprise {
namespace {

namespace json = boost::json;

// Thinks before it answers, and drops thinking before the last thing that the user said.
constexpr const char* kThinker =
    "{% if tools %}<tools>{% for t in tools %}{{ t | tojson }}{% endfor %}</tools>{% endif %}"
    "{% set last = namespace(user=-1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set last.user = loop.index0 %}{% endif %}"
    "{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content and loop.index0 > last.user %}<think>\n{{ m.reasoning_content }}\n"
    "</think>\n\n{% endif %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n{{ c.function | tojson }}\n</tool_call>"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}";
constexpr const char* kThought = "<think>\nLet me think.\n</think>\n\nHere it is.";
constexpr const char* kCalls =
    "<think>\nHm.\n</think>\n\nI look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"b\": 1, "
    "\"a\": 2}}\n</tool_call>";

class ReplyFormTest : public FakeServerTest {
 protected:
  ReplyFormTest() : FakeServerTest(kThinker) {}

  // The engine says this, a few bytes at a time, as tokens of a byte each.
  void Say(const std::string& reply) {
    engine_.AnswerWith([this, reply](const GenerationRequest& request, const EventSink& sink) {
      if (request.priority == Priority::kBackground) return;
      sink(Started(static_cast<int>(request.prompt.size()), 0));
      for (size_t at = 0; at < reply.size(); at += 5) sink(Text(reply.substr(at, 5)));
      sink(Finished(request, 0, model_.tokenizer->Encode(reply, {})));
    });
  }

  std::string Post(std::string_view path, const json::object& body) {
    TestClient client(server_->port());
    client.Post(path, json::serialize(body));
    const HttpReply reply = client.Read();
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.body;
  }
  json::value Ask(std::string_view path, const json::object& body) {
    return json::parse(Post(path, body));
  }
  // The prompt of the last request that somebody waited for, as text.
  std::string LastPrompt() {
    for (size_t i = engine_.requests(); i-- > 0;) {
      const GenerationRequest request = engine_.request(i);
      if (request.priority == Priority::kNormal) {
        return model_.tokenizer->Decode(request.prompt, true);
      }
    }
    return "";
  }
  // The data of a stream's events.
  static std::vector<json::value> Events(const std::string& stream) {
    std::vector<json::value> events;
    for (size_t at = stream.find("data: {"); at != stream.npos; at = stream.find("data: {", at)) {
      const size_t end = stream.find("\n\n", at);
      events.push_back(json::parse(stream.substr(at + 6, end - at - 6)));
      at = end;
    }
    return events;
  }

  static json::object Chat(json::array messages) { return {{"messages", std::move(messages)}}; }
  static json::object User() { return {{"role", "user"}, {"content", "q"}}; }
  static json::array Tools() { return {{{"type", "function"}, {"function", {{"name", "f"}}}}}; }
};

TEST_F(ReplyFormTest, ThinkingIsApartInAllThreeShapes) {
  Say(kThought);
  const json::value chat = Ask("/v1/chat/completions", Chat({User()}));
  const json::value& message = chat.at("choices").at(0).at("message");
  EXPECT_EQ(message.at("reasoning_content"), "Let me think.");
  EXPECT_EQ(message.at("content"), "Here it is.");
  // <think> is one token of the test's vocabulary, all others a byte or a few.
  EXPECT_GT(chat.at("usage").at("completion_tokens_details").at("reasoning_tokens").as_int64(), 10);

  json::object body = Chat({User()});
  body["max_tokens"] = 1000;
  const json::value messages = Ask("/v1/messages", body);
  ASSERT_EQ(messages.at("content").as_array().size(), 2U);
  EXPECT_EQ(messages.at("content").at(0).at("type"), "thinking");
  EXPECT_EQ(messages.at("content").at(0).at("thinking"), "Let me think.");
  EXPECT_TRUE(messages.at("content").at(0).at("signature").is_string());
  EXPECT_EQ(messages.at("content").at(1).at("text"), "Here it is.");

  const json::value response = Ask("/v1/responses", {{"input", "q"}});
  EXPECT_EQ(response.at("output").at(0).at("type"), "reasoning");
  EXPECT_EQ(response.at("output").at(0).at("content").at(0).at("text"), "Let me think.");
  EXPECT_EQ(response.at("output").at(1).at("content").at(0).at("text"), "Here it is.");
}

TEST_F(ReplyFormTest, ThinkingIsStreamedAsItComes) {
  Say(kThought);
  json::object body = Chat({User()});
  body["stream"] = true;
  std::string thinking, text;
  for (const json::value& event : Events(Post("/v1/chat/completions", body))) {
    const json::object& delta = event.at("choices").at(0).at("delta").as_object();
    if (const auto* piece = delta.if_contains("reasoning_content")) thinking += piece->as_string();
    if (const auto* piece = delta.if_contains("content")) text += piece->as_string();
  }
  EXPECT_EQ(thinking, "Let me think.");
  EXPECT_EQ(text, "Here it is.");

  body["max_tokens"] = 1000;
  std::vector<std::string> names;
  for (const json::value& event : Events(Post("/v1/messages", body))) {
    std::string name(std::string_view(event.at("type").as_string()));
    if (name == "content_block_delta")
      name = std::string_view(event.at("delta").at("type").as_string());
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "message_start", "content_block_start", "thinking_delta", "signature_delta",
                       "content_block_stop", "content_block_start", "text_delta",
                       "content_block_stop", "message_delta", "message_stop"}));
}

TEST_F(ReplyFormTest, EffortAndSwitchesReachTheTemplate) {
  Say("a");
  const std::string off = "<think>\n\n</think>\n\n";
  const auto prompt_of = [&](std::string_view path, json::object more) {
    json::object body = path == "/v1/responses" ? json::object{{"input", "q"}} : Chat({User()});
    if (path == "/v1/messages") body["max_tokens"] = 10;
    for (const auto& [key, value] : more) body[key] = value;
    Post(path, body);
    return LastPrompt();
  };
  EXPECT_FALSE(prompt_of("/v1/chat/completions", {}).ends_with(off));
  EXPECT_TRUE(prompt_of("/v1/chat/completions", {{"reasoning_effort", "none"}}).ends_with(off));
  EXPECT_FALSE(prompt_of("/v1/chat/completions", {{"reasoning_effort", "high"}}).ends_with(off));
  const json::object arguments = {{"chat_template_kwargs", {{"enable_thinking", false}}}};
  EXPECT_TRUE(prompt_of("/v1/chat/completions", arguments).ends_with(off));
  EXPECT_TRUE(prompt_of("/v1/messages", {{"thinking", {{"type", "disabled"}}}}).ends_with(off));
  EXPECT_FALSE(
      prompt_of("/v1/messages", {{"thinking", {{"type", "enabled"}, {"budget_tokens", 99}}}})
          .ends_with(off));
  EXPECT_TRUE(prompt_of("/v1/responses", {{"reasoning", {{"effort", "none"}}}}).ends_with(off));
}

TEST_F(ReplyFormTest, ABudgetEndsTheThinking) {
  Say("a");
  json::object body = Chat({User()});
  body["max_tokens"] = 1000;
  body["thinking"] = {{"type", "enabled"}, {"budget_tokens", 20}};
  Post("/v1/messages", body);
  const auto constraint = engine_.request(0).constraint;
  ASSERT_NE(constraint, nullptr);
  const Tokenizer& tokenizer = *model_.tokenizer;
  std::string reply;
  const auto say = [&](std::string_view text) {
    for (const TokenId token : tokenizer.Encode(text, {})) {
      for (const TokenId forced : constraint->TakeForced()) reply += tokenizer.Piece(forced);
      if (reply.find("</think>") != reply.npos) return;
      EXPECT_TRUE(constraint->Accept(token));
      reply += tokenizer.Piece(token);
    }
  };
  EXPECT_TRUE(constraint->Mask()->empty()) << "anything may be said";
  say("<think>\n0123456789 0123456789 0123456789 0123456789");
  EXPECT_TRUE(reply.ends_with("\n</think>\n\n")) << reply;
  EXPECT_LE(reply.size(), 8U + 20 + 12);
  EXPECT_TRUE(constraint->TakeForced().empty()) << "once";
  // Who ends it himself is left alone.
  body["thinking"] = {{"type", "enabled"}, {"budget_tokens", 1000}};
  Post("/v1/messages", body);
}

TEST_F(ReplyFormTest, ThinkingThatTheClientDroppedIsThereInAToolLoopAndGoneAfterIt) {
  Say(kCalls);
  json::object body = Chat({User()});
  body["tools"] = Tools();
  const json::value reply = Ask("/v1/chat/completions", body);
  const std::string asked = LastPrompt();
  json::object message = reply.at("choices").at(0).at("message").as_object();
  EXPECT_EQ(reply.at("choices").at(0).at("finish_reason"), "tool_calls");
  EXPECT_EQ(message.at("reasoning_content"), "Hm.");
  EXPECT_EQ(message.at("content"), "I look.");
  message.erase("reasoning_content");
  message["tool_calls"].as_array()[0].as_object()["function"].as_object()["arguments"] =
      R"({ "a": 2.0, "b": 1 })";
  const json::object result = {{"role", "tool"},
                               {"tool_call_id", message.at("tool_calls").at(0).at("id")},
                               {"content", "r"}};
  body["messages"] = {User(), message, result};
  Post("/v1/chat/completions", body);
  EXPECT_TRUE(LastPrompt().starts_with(asked + kCalls + "<|im_end|>")) << LastPrompt();
  // A new question: the template drops the thinking, and so does the prompt.
  body["messages"] = {User(), message, result, {{"role", "assistant"}, {"content", "c"}}, User()};
  Post("/v1/chat/completions", body);
  EXPECT_EQ(LastPrompt().find("<think>"), std::string::npos);
  EXPECT_NE(LastPrompt().find("{\"b\": 1, \"a\": 2}"), std::string::npos);
}

TEST_F(ReplyFormTest, WhatLooksLikeACallOfNoToolIsText) {
  Say("<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call> and more");
  json::object body = Chat({User()});
  body["tools"] = Tools();
  const json::value reply = Ask("/v1/chat/completions", body);
  EXPECT_EQ(reply.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(reply.at("choices").at(0).at("message").at("content"),
            "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call> and more");
  body["tool_choice"] = "none";
  Say("<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>");
  EXPECT_FALSE(Ask("/v1/chat/completions", body)
                   .at("choices")
                   .at(0)
                   .at("message")
                   .as_object()
                   .contains("tool_calls"));
}

TEST_F(ReplyFormTest, ArgumentsThatNoJsonSaysEndNoServer) {
  json::object body = Chat({User()});
  body["tools"] = Tools();
  body["max_tokens"] = 1000;
  json::object messages = body;
  messages["tools"] = json::parse(R"([{"name": "f", "input_schema": {"type": "object"}}])");
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  for (const std::string& value : {std::string(R"("\ud800")"), deep}) {
    const std::string said = R"(<tool_call>{"name": "f", "arguments": {"a": )" + value + "}}";
    Say(said);
    EXPECT_EQ(Ask("/v1/chat/completions", body).at("choices").at(0).at("message").at("content"),
              json::string(said));
    EXPECT_EQ(Ask("/v1/messages", messages).at("content").at(0).at("text"), json::string(said));
  }
}

TEST_F(ReplyFormTest, ANumberBeyondAllBoundsIsTheLargest) {
  const std::string said = R"(<tool_call>{"name": "f", "arguments": {"a": -1e999}}</tool_call>)";
  Say(said);
  json::object body = Chat({User()});
  body["max_tokens"] = 1000;
  body["tools"] = json::parse(R"([{"name": "f", "input_schema": {"type": "object"}}])");
  const json::value reply = Ask("/v1/messages", body);
  EXPECT_EQ(reply.at("content").at(0).at("input").at("a").as_double(),
            std::numeric_limits<double>::lowest());
  // And it comes back as it was written.
  body["messages"].as_array().push_back({{"role", "assistant"}, {"content", reply.at("content")}});
  body["messages"].as_array().push_back(
      {{"role", "user"},
       {"content",
        {{{"type", "tool_result"}, {"tool_use_id", reply.at("content").at(0).at("id")}}}}});
  Post("/v1/messages", body);
  EXPECT_NE(LastPrompt().find(said), std::string::npos);
}

TEST_F(ReplyFormTest, ACallThatBreaksIsTextAndNothingIsLost) {
  const std::string broken = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": @}}";
  Say(broken);
  json::object body = Chat({User()});
  body["tools"] = Tools();
  const json::value reply = Ask("/v1/chat/completions", body);
  EXPECT_EQ(reply.at("choices").at(0).at("message").at("content"), json::string(broken));
  EXPECT_EQ(reply.at("choices").at(0).at("finish_reason"), "stop");
  body["stream"] = true;
  std::string text;
  for (const json::value& event : Events(Post("/v1/chat/completions", body))) {
    const json::object& delta = event.at("choices").at(0).at("delta").as_object();
    if (const auto* piece = delta.if_contains("content")) text += piece->as_string();
  }
  EXPECT_EQ(text, broken);
}

}  // namespace
}  // namespace reprise

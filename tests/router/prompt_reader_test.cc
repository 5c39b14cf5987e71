// What the router reads equals what the engine is asked, for every family's template and all
// endpoints that generate: a server over a fake engine gets the same bodies.

#include "router/prompt_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "cache/scope.h"
#include "played_replica.h"
#include "tiers/block_key.h"
#include "vendor/anthropic/endpoints.h"
#include "vendor/openai/endpoints.h"
#include "vendor/responses/endpoints.h"

namespace reprise {
namespace {

namespace json = boost::json;

struct Body {
  const WireEndpoint* endpoint;
  std::string text;
};

const std::string kTools = R"([{"type":"function","function":{"name":"add","description":"Adds.",
  "parameters":{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},
  "required":["a","b"]}}}])";

std::vector<Body> ChatBodies() {
  const auto chat = [](std::string text) { return Body{&kChatCompletions, std::move(text)}; };
  return {chat(R"({"messages":[{"role":"user","content":"hello"}]})"),
          chat(R"({"messages":[{"role":"system","content":"Be brief. <|im_end|>"},
        {"role":"user","content":"What is a cache?"},{"role":"assistant","content":"A store."},
        {"role":"user","content":"Of what?"}],"stream":true,"n":2,"temperature":0.5})"),
          chat(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a long document",
        "prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}},
        {"type":"text","text":"a question"}]}],"prompt_cache_key":"k","max_tokens":3})"),
          chat(R"({"messages":[{"role":"user","content":"kept"}],"prompt_cache_retention":"24h",
        "prediction":{"type":"content","content":"just so"}})"),
          chat(fmt::format(R"({{"messages":[{{"role":"user","content":"2+3?"}},
        {{"role":"assistant","content":null,"tool_calls":[{{"id":"c1","type":"function",
        "function":{{"name":"add","arguments":"{{\"a\":2,\"b\":3}}"}}}}]}},
        {{"role":"tool","tool_call_id":"c1","content":"5"}},
        {{"role":"user","content":"and 4?"}}],"tools":{},"tool_choice":"required",
        "parallel_tool_calls":false}})",
                           kTools)),
          chat(R"({"messages":[{"role":"user","content":"JSON"}],"response_format":{"type":
        "json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object",
        "properties":{"x":{"type":"integer"}},"required":["x"]}}}})"),
          chat(R"({"messages":[{"role":"user","content":"think"},{"role":"assistant",
        "reasoning_content":"hm","content":"so"},{"role":"user","content":"more"}],
        "reasoning_effort":"low","chat_template_kwargs":{"enable_thinking":false}})"),
          chat(R"({"messages":[{"role":"user","content":"go on"},
        {"role":"assistant","content":"I was"}],"continue_final_message":true,
        "add_generation_prompt":false})"),
          chat(R"({"messages":[{"role":"user","content":"not kept"}],"cache_prompt":false})"),
          chat(R"({"messages":[]})"),
          chat(R"({"messages":"no"})"),
          chat("no JSON"),
          {&kTextCompletions, R"({"prompt":"Once upon a time <|im_start|>","max_tokens":2})"},
          {&kTextCompletions, R"({"prompt":["a","a longer one"],"prompt_cache_retention":"24h"})"},
          {&kTextCompletions, R"({"prompt":[1,2,3,4,5],"guided_regex":"a+","echo":false})"}};
}

std::vector<Body> MessagesBodies() {
  const auto messages = [](std::string text) { return Body{&kMessages, std::move(text)}; };
  return {messages(R"({"max_tokens":9,"messages":[{"role":"user","content":"hello"}]})"),
          messages(R"({"max_tokens":9,"system":[
        {"type":"text","text":"x-anthropic-billing-header: cc_version=1.2; cc_entrypoint=cli; cch=abc;"},
        {"type":"text","text":"You are careful.","cache_control":{"type":"ephemeral"}}],
        "messages":[{"role":"user","content":[{"type":"text","text":"A document.",
        "cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"Why?"}]}]})"),
          messages(R"({"max_tokens":9,"tools":[{"name":"add","description":"Adds.","input_schema":
        {"type":"object","properties":{"a":{"type":"number"}}},
        "cache_control":{"type":"ephemeral"}}],"tool_choice":{"type":"any"},
        "messages":[{"role":"user","content":"1?"},{"role":"assistant","content":[
        {"type":"text","text":"I add."},
        {"type":"tool_use","id":"toolu_1","name":"add","input":{"a":1}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"1",
        "cache_control":{"type":"ephemeral"}}]}]})"),
          messages(R"({"max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":1024},
        "messages":[{"role":"user","content":"think"},{"role":"assistant","content":[
        {"type":"thinking","thinking":"hm","signature":"aG0="},{"type":"text","text":"so"}]},
        {"role":"user","content":"again"}]})"),
          messages(R"({"max_tokens":9,"messages":[{"role":"user","content":"go on"},
        {"role":"assistant","content":"I was"}]})"),
          messages(R"({"messages":[{"role":"user","content":"no bound"}]})")};
}

std::vector<Body> ResponsesBodies() {
  const auto responses = [](std::string text) { return Body{&kResponses, std::move(text)}; };
  return {responses(R"({"input":"hello"})"),
          responses(R"({"instructions":"Be brief.","input":[{"role":"user","content":[
        {"type":"input_text","text":"What is it?"}]}],"store":false,"max_output_tokens":20})"),
          responses(R"({"input":[{"role":"user","content":"1?"},
        {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text",
        "text":"hm"}]},{"type":"function_call","call_id":"c1","name":"add",
        "arguments":"{\"a\": 1.0}"},{"type":"function_call_output","call_id":"c1","output":"1"}],
        "tools":[{"type":"function","name":"add","parameters":{"type":"object","properties":
        {"a":{"type":"number"}}}}],"tool_choice":"required","reasoning":{"effort":"low"}})"),
          responses(R"({"input":"kept","prompt_cache_retention":"24h","prompt_cache_key":"k",
        "text":{"format":{"type":"json_object"}}})"),
          responses(R"({"input":7})")};
}

// Sends the body to the replica, and reads it as a router does; both must understand the same.
void ExpectSame(PlayedReplica& played, const Body& body, const std::string& tenant = "") {
  SCOPED_TRACE(fmt::format("{}: {}", body.endpoint->path, body.text));
  const ChainBasis basis{played.engine.block_identity(), 32};
  const auto prompt = played.reader->Read(*body.endpoint, body.text, tenant, {basis});
  const size_t before = played.engine.requests();
  TestClient client(played.server->port());
  client.Post(body.endpoint->path, body.text);
  const int status = client.Read().status;
  EXPECT_EQ(prompt.has_value(), status == 200)
      << status << " " << (prompt ? "" : prompt.error().message);
  if (!prompt || status != 200) return;
  std::vector<GenerationRequest> asked;
  for (size_t i = before; i < played.engine.requests(); ++i) {
    GenerationRequest request = played.engine.request(i);
    if (request.priority != Priority::kBackground) asked.push_back(std::move(request));
  }
  ASSERT_FALSE(asked.empty());
  const GenerationRequest& longest = *std::ranges::max_element(
      asked, {}, [](const GenerationRequest& request) { return request.prompt.size(); });
  EXPECT_EQ(prompt->tokens, longest.prompt);
  EXPECT_EQ(prompt->scope, longest.scope);
  if (longest.cache == CacheUse::kNone) {
    EXPECT_TRUE(prompt->chains.empty());
    return;
  }
  size_t marked = 0;
  for (const Breakpoint& mark : longest.breakpoints) marked = std::max(marked, mark.tokens);
  EXPECT_EQ(prompt->marked_tokens, marked);
  ASSERT_EQ(prompt->chains.size(), 1U);
  EXPECT_EQ(prompt->chains[0].names,
            ChainOf(basis.identity, longest.scope, longest.prompt, basis.block_tokens));
}

void ExpectAllSame(PlayedReplica& played) {
  ASSERT_TRUE(played.FollowUntil("load"));
  for (const Body& body : ChatBodies()) ExpectSame(played, body);
  for (const Body& body : MessagesBodies()) ExpectSame(played, body);
  for (const Body& body : ResponsesBodies()) ExpectSame(played, body);
}

std::string TemplateOf(const std::string& family) {
  std::ifstream file(fmt::format("{}/{}.jinja", REPRISE_TEMPLATES, family));
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(PromptReaderTest, TheRouterReadsWhatTheEngineIsAskedUnderEveryFamilysTemplate) {
  size_t families = 0;
  for (const auto& entry : std::filesystem::directory_iterator(REPRISE_TEMPLATES)) {
    SCOPED_TRACE(entry.path().stem().string());
    PlayedReplica played(TemplateOf(entry.path().stem().string()));
    ExpectAllSame(played);
    ++families;
  }
  EXPECT_GE(families, 9U);
}

TEST(PromptReaderTest, TheRouterReadsByTheSettingsThatReplicasTell) {
  PlayedReplica played(
      kChatMl,
      {.cache_minimum_tokens = 200, .cache_key_isolates = true, .drop_billing_line = false});
  ExpectAllSame(played);
  const std::string long_text(300, 'x');
  ExpectSame(played,
             {&kChatCompletions, fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}],
      "prompt_cache_key":"k","prompt_cache_retention":"24h"}})",
                                             long_text)});
}

TEST(PromptReaderTest, WhatTheModelWroteComesBackAsItWasWritten) {
  PlayedReplica played(TemplateOf("qwen3"));
  ASSERT_TRUE(played.FollowUntil("load"));
  // Spaces and a number's form that no client's JSON keeps.
  played.reply =
      "<tool_call>\n{\"name\": \"add\",  \"arguments\": {\"b\": 2, \"a\": 1.50}}\n"
      "</tool_call>";
  TestClient client(played.server->port());
  const std::string user = R"({"role":"user","content":"1.5+2?"})";
  client.Post("/v1/chat/completions",
              fmt::format(R"({{"messages":[{}],"tools":{}}})", user, kTools));
  const json::value reply = json::parse(client.Read().body);
  json::value message = reply.at("choices").at(0).at("message");
  const std::string id(message.at("tool_calls").at(0).at("id").as_string());
  message.at("tool_calls").at(0).at("function").as_object()["arguments"] = R"({"a":1.5,"b":2})";
  const Body next = {
      &kChatCompletions,
      fmt::format(R"({{"messages":[{},{},{{"role":"tool","tool_call_id":"{}","content":"3.5"}}],
      "tools":{}}})",
                  user, json::serialize(message), id, kTools)};
  const auto before = played.reader->Read(kChatCompletions, next.text, "", {});
  ASSERT_TRUE(played.FollowUntil("reply"));
  ExpectSame(played, next);
  const auto after = played.reader->Read(kChatCompletions, next.text, "", {});
  EXPECT_NE(before->tokens, after->tokens);  // else this test says nothing
}

TEST(PromptReaderTest, TenantsHaveChainsOfTheirOwn) {
  const auto reader = ReaderOf(TestModel(), kChatMl);
  const std::string body = R"({"messages":[{"role":"user","content":
    "a text that is long enough for a block or two"}]})";
  const std::vector<ChainBasis> bases = {{{}, 32}, {{}, 16}};
  const auto one = reader->Read(kChatCompletions, body, "one", bases);
  const auto two = reader->Read(kChatCompletions, body, "two", bases);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->scope, ScopeOf("one", ""));
  ASSERT_FALSE(one->chains[0].names.empty());
  EXPECT_NE(one->chains[0].names.front(), two->chains[0].names.front());
  EXPECT_EQ(one->chains[1].names.size(), one->tokens.size() / 16);
  EXPECT_EQ(one->token_count, one->tokens.size());
}

TEST(PromptReaderTest, WhatGoesOnFromAStoredResponseIsReadNoFurther) {
  const auto reader = ReaderOf(TestModel(), kChatMl);
  const std::string body = R"({"input":"more","previous_response_id":"resp_7"})";
  const auto prompt = reader->Read(kResponses, body, "", {{{}, 32}});
  ASSERT_TRUE(prompt);
  EXPECT_EQ(prompt->previous_response, "resp_7");
  EXPECT_TRUE(prompt->tokens.empty() && prompt->chains.empty());
  EXPECT_EQ(PreviousResponseOf(kResponses, R"({"input":"previous_response_id"})"), std::nullopt);
  EXPECT_EQ(PreviousResponseOf(kResponses, R"({"previous_response_id":null})"), std::nullopt);
  EXPECT_EQ(PreviousResponseOf(kResponses, R"({"previous_response_id")"), std::nullopt);
  EXPECT_EQ(PreviousResponseOf(kChatCompletions, body), std::nullopt);
}

TEST(PromptReaderTest, APromptBeyondTheReplicasWindowIsNotRead) {
  const auto reader = ReaderOf(TestModel(), kChatMl);
  const std::string body = fmt::format(R"({{"prompt":"{}"}})", std::string(300, 'x'));
  EXPECT_TRUE(reader->Read(kTextCompletions, body, "", {}));
  reader->SetTerms({.context = 128});
  EXPECT_FALSE(reader->Read(kTextCompletions, body, "", {}));
}

}  // namespace
}  // namespace reprise

// Reading a call: what is taken, what is refused, and the field that a refusal names.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/limits.h"
#include "fixtures/test_model.h"
#include "fixtures/test_vocabulary.h"
#include "vendor/openai/endpoints.h"

namespace reprise {
namespace {

Result<Call> Chat(std::string_view more) {
  return kChatCompletions.read(
      fmt::format(R"({{"messages":[{{"role":"user","content":"hello"}}]{}}})", more), {.seed = 42},
      SharedTestModel());
}

Result<Call> ChatWith(std::string_view messages) {
  return kChatCompletions.read(fmt::format(R"({{"messages":{}}})", messages), {.seed = 42},
                               SharedTestModel());
}

Result<Call> Prompt(std::string_view prompt, std::string_view more = "") {
  return kTextCompletions.read(fmt::format(R"({{"prompt":{}{}}})", prompt, more), {.seed = 42},
                               SharedTestModel());
}

std::string ParamOf(const Result<Call>& call) { return call ? "accepted" : call.error().param; }

TEST(CallTest, ChatIsRenderedAndTokenised) {
  const auto call = Chat("");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(SharedTestModel().tokenizer->Decode(call->prompts.at(0), true),
            "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(call->prompts[0].front(), 1);
}

TEST(CallTest, AbsentParametersAreNeutral) {
  const auto call = Chat(R"(,"temperature":null,"stop":null,"seed":null)");
  ASSERT_TRUE(call);
  const GenerationRequest request = RequestOfChoice(*call, 0, SharedTestModel());
  EXPECT_EQ(request.sampling.temperature, 1.0F);
  EXPECT_EQ(request.sampling.seed, 42U);
  EXPECT_EQ(request.max_tokens, std::nullopt);
  EXPECT_EQ(request.top_logprobs, -1);
  EXPECT_EQ(request.cache, CacheUse::kReadAndPublish);
  EXPECT_EQ(request.priority, Priority::kNormal);
}

TEST(CallTest, EveryParameterReachesTheEngine) {
  const auto call = Chat(
      R"(,"temperature":0.5,"top_p":0.25,"top_k":40,"min_p":0.125,"presence_penalty":-2,
        "frequency_penalty":2,"repeat_penalty":1.5,"seed":-1,"stop":["x",""],"n":3,
        "logit_bias":{"7":-100},"logprobs":true,"top_logprobs":5,"max_completion_tokens":9,
        "max_tokens":8,"ignore_eos":true,"cache_prompt":false,"stream":true,
        "stream_options":{"include_usage":true},"something_new":{"a":[1]})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_TRUE(call->parameters.stream);
  EXPECT_TRUE(call->parameters.include_usage);
  EXPECT_EQ(call->choices(), 3U);
  const GenerationRequest request = RequestOfChoice(*call, 2, SharedTestModel());
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.top_p, 0.25F);
  EXPECT_EQ(request.sampling.top_k, 40);
  EXPECT_EQ(request.sampling.min_p, 0.125F);
  EXPECT_EQ(request.sampling.presence_penalty, -2.0F);
  EXPECT_EQ(request.sampling.frequency_penalty, 2.0F);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(request.sampling.seed, 1U) << "choice i samples with seed + i";
  EXPECT_EQ(request.stop, std::vector<std::string>{"x"});
  ASSERT_EQ(request.sampling.logit_bias.size(), 1U);
  EXPECT_EQ(request.sampling.logit_bias[0], std::pair(TokenId{7}, -100.0F));
  EXPECT_EQ(request.top_logprobs, 5);
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_TRUE(request.ignore_eos);
  EXPECT_EQ(request.cache, CacheUse::kNone);
}

TEST(CallTest, AnAbsurdParameterIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("temperature":-0.1)", "temperature"},
      {R"("temperature":1e300)", "temperature"},
      {R"("temperature":"hot")", "temperature"},
      {R"("top_p":1.01)", "top_p"},
      {R"("min_p":-1)", "min_p"},
      {R"("top_k":2.5)", "top_k"},
      {R"("top_k":-2)", "top_k"},
      {R"("presence_penalty":2.1)", "presence_penalty"},
      {R"("frequency_penalty":-3)", "frequency_penalty"},
      {R"("repetition_penalty":0)", "repetition_penalty"},
      {R"("max_tokens":-1)", "max_tokens"},
      {R"("max_tokens":1e10)", "max_tokens"},
      {R"("max_tokens":18446744073709551615)", "max_tokens"},
      {R"("max_tokens":true)", "max_tokens"},
      {R"("max_completion_tokens":0.5)", "max_completion_tokens"},
      {R"("seed":"1")", "seed"},
      {R"("seed":1.5)", "seed"},
      {R"("n":0)", "n"},
      {R"("n":17)", "n"},
      {R"("stop":5)", "stop"},
      {R"("stop":["a",null])", "stop"},
      {R"("stream":"yes")", "stream"},
      {R"("stream_options":[])", "stream_options"},
      {R"("stream_options":{"include_usage":1})", "stream_options.include_usage"},
      {R"("logprobs":5)", "logprobs"},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
      {R"("top_logprobs":2)", "top_logprobs"},
      {R"("logit_bias":[])", "logit_bias"},
      {R"("logit_bias":{"x":1})", "logit_bias"},
      {R"("logit_bias":{"-1":1})", "logit_bias"},
      {R"("logit_bias":{"999999":1})", "logit_bias"},
      {R"("logit_bias":{"1":101})", "logit_bias.1"},
      {R"("response_format":{"type":"xml"})", "response_format.type"},
      {R"("response_format":{"type":"json_schema"})", "response_format.json_schema"},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"n"}})",
       "response_format.json_schema.schema"},
      {R"("tool_choice":"perhaps")", "tool_choice"},
      {R"("tool_choice":{"type":"function"})", "tool_choice"},
      {R"("parallel_tool_calls":1)", "parallel_tool_calls"},
      {R"("tool_choice":"required")", "tool_choice"},
      {R"("functions":{})", "functions"},
      {R"("tools":[5])", "tools[0]"},
      {R"("ignore_eos":0)", "ignore_eos"},
      {R"("cache_prompt":"no")", "cache_prompt"},
      {R"("model":7)", "model"},
  };
  for (const auto& [field, param] : cases) {
    const auto call = Chat(fmt::format(",{}", field));
    EXPECT_EQ(ParamOf(call), param) << field;
  }
}

TEST(CallTest, MessagesAreCheckedAndNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "messages"},
      {"null", "messages"},
      {R"("hello")", "messages"},
      {"[5]", "messages[0]"},
      {R"([{"content":"a"}])", "messages[0].role"},
      {R"([{"role":"user","content":"a"},{"role":"wizard","content":"b"}])", "messages[1].role"},
      {R"([{"role":"user"}])", "messages[0].content"},
      {R"([{"role":"user","content":null}])", "messages[0].content"},
      {R"([{"role":"user","content":7}])", "messages[0].content"},
      {R"([{"role":"assistant","content":null,"tool_calls":[1]}])", "messages[0].tool_calls[0]"},
      {R"([{"role":"user","content":[{"type":"image_url"}]}])", "messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
      {R"([{"role":"user","content":["a"]}])", "messages[0].content[0]"},
  };
  for (const auto& [messages, param] : cases) {
    EXPECT_EQ(ParamOf(ChatWith(messages)), param) << messages;
  }
}

TEST(CallTest, ABodyThatIsNoObjectIsRefused) {
  for (const char* body : {"", "{", "[1,2]", "nul", "{}x", "{\"messages\":\"\xff\"}",
                           "{\"messages\":NaN}", "{\"messages\":\"\\ud800\"}"}) {
    const auto call = kChatCompletions.read(body, {}, SharedTestModel());
    ASSERT_FALSE(call) << body;
    EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(CallTest, DeepNestingIsRefused) {
  const std::string deep(100'000, '[');
  EXPECT_FALSE(ChatWith(deep));
  const size_t depth = limits::kMaxJsonDepth;
  const std::string closed = std::string(depth, '[') + std::string(depth, ']');
  EXPECT_FALSE(kChatCompletions.read(fmt::format(R"({{"x":{}}})", closed), {}, SharedTestModel()));
}

TEST(CallTest, AControlTokenInUserTextStaysText) {
  for (
      const char* messages :
      {R"([{"role":"user","content":"a<|im_end|>b"}])",
       R"([{"role":"user","content":[{"type":"text","text":"a<|im_"},{"type":"text","text":"end|>b"}]}])"}) {
    const auto call = ChatWith(messages);
    ASSERT_TRUE(call);
    const TokenId end = IdOf(SharedTestModel().tokenizer->vocabulary(), "<|im_end|>");
    EXPECT_EQ(std::ranges::count(call->prompts[0], end), 1) << "the template's own";
    EXPECT_NE(SharedTestModel().tokenizer->Decode(call->prompts[0], true).find("a<|im_end|>b"),
              std::string::npos);
  }
}

TEST(CallTest, DeveloperIsSystemAndPartsAreJoined) {
  const auto call = ChatWith(
      R"([{"role":"developer","content":[{"type":"text","text":"be "},{"type":"text","text":"kind"}]}])");
  ASSERT_TRUE(call);
  EXPECT_TRUE(SharedTestModel()
                  .tokenizer->Decode(call->prompts[0], true)
                  .starts_with("<|im_start|>system\nbe kind<|im_end|>"));
}

TEST(CallTest, TheTemplateSeesToolsAndCallsAsObjects) {
  const ServedModel model = TestModel(
      "{% for t in tools %}[{{ t.function.name }}]{% endfor %}{% for m in messages %}"
      "{% for c in m.tool_calls %}{{ c.function.arguments.city }}|{% endfor %}{{ m.content }}"
      "{% endfor %}{{ think }}");
  const auto call = kChatCompletions.read(
      R"({"tools":[{"type":"function","function":{"name":"weather"}}],
      "chat_template_kwargs":{"think":"hard","messages":[]},
      "messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",
        "function":{"name":"weather","arguments":"{\"city\":\"Bergen<|im_end|>\"}"}}]},
        {"role":"tool","tool_call_id":"1","content":"rain"}]})",
      {}, model);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(model.tokenizer->Decode(call->prompts[0], true), "[weather]Bergen<|im_end|>|rainhard");
  EXPECT_EQ(std::ranges::count(call->prompts[0], 2), 0);
}

TEST(CallTest, ATemplateThatThrowsIsTheClientsError) {
  const ServedModel model = TestModel("{{ raise_exception('roles must alternate') }}");
  const auto call =
      kChatCompletions.read(R"({"messages":[{"role":"user","content":"x"}]})", {}, model);
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(call.error().message.find("roles must alternate"), std::string::npos);
}

TEST(CallTest, AModelWithoutTemplateSaysSo) {
  const auto call = kChatCompletions.read(R"({"messages":[{"role":"user","content":"x"}]})", {},
                                          TestModel(nullptr));
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().code, ErrorCode::kUnsupported);
}

TEST(CallTest, PromptsComeInFourForms) {
  EXPECT_EQ(Prompt(R"("hello")")->prompts.size(), 1U);
  EXPECT_EQ(Prompt(R"(["hello","aa"])")->prompts.size(), 2U);
  EXPECT_EQ(Prompt("[5,6,7]")->prompts, (std::vector<std::vector<TokenId>>{{5, 6, 7}}));
  EXPECT_EQ(Prompt("[[5],[6,7]]")->prompts, (std::vector<std::vector<TokenId>>{{5}, {6, 7}}));
  EXPECT_EQ(Prompt(R"("")")->prompts, (std::vector<std::vector<TokenId>>{{1}})) << "bos alone";
  EXPECT_EQ(Prompt(R"("hello")")->parameters.max_tokens, 16) << "the vendor's default";
  for (const char* bad :
       {"5", "{}", "[5,-1]", "[5,99999]", "[5,\"a\"]", "[[5],6]", "[1.5]", "null", "[[[1]]]"}) {
    EXPECT_EQ(ParamOf(Prompt(bad)), "prompt") << bad;
  }
}

TEST(CallTest, WhatTextCompletionsLackIsRefused) {
  EXPECT_EQ(ParamOf(Prompt("[5]", R"(,"echo":true)")), "echo");
  EXPECT_EQ(ParamOf(Prompt("[5]", R"(,"suffix":"x")")), "suffix");
  EXPECT_EQ(ParamOf(Prompt("[5]", R"(,"best_of":3)")), "best_of");
  EXPECT_EQ(ParamOf(Prompt("[5]", R"(,"best_of":2,"n":2,"echo":false,"suffix":null)")), "accepted");
  EXPECT_EQ(ParamOf(Prompt("[[5],[6],[7],[8],[9]]", R"(,"n":4)")), "prompt") << "20 choices";
}

TEST(CallTest, TheContextBoundsThePromptAndTheReplysFirstToken) {
  ServedModel model = TestModel();
  model.max_sequence_tokens = 3;
  const auto read = [&](const char* body) { return kTextCompletions.read(body, {}, model); };
  EXPECT_TRUE(read(R"({"prompt":[5,6]})"));
  EXPECT_TRUE(read(R"({"prompt":[5,6,7],"max_tokens":0})"));
  const auto full = read(R"({"prompt":[5,6,7]})");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kContextLengthExceeded);
  EXPECT_FALSE(read(R"({"prompt":[5,6,7,8],"max_tokens":0})"));
}

TEST(CallTest, AStrictServerKnowsItsNameOnly) {
  ServedModel model = TestModel();
  const char* other = R"({"model":"gpt-6","prompt":"x"})";
  EXPECT_TRUE(kTextCompletions.read(other, {}, model));
  model.strict_model = true;
  const auto refused = kTextCompletions.read(other, {}, model);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(kTextCompletions.read(R"({"model":"tiny","prompt":"x"})", {}, model));
}

std::vector<Breakpoint> MarksOf(std::string_view fields) {
  const auto call =
      kChatCompletions.read(fmt::format("{{{}}}", fields), {.seed = 42}, SharedTestModel());
  EXPECT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->warning, "");
  return call->breakpoints.at(0);
}

TEST(CallTest, OpenAiMarksTakeTheirLifetimesFromTheNearestField) {
  const auto marks = [](std::string_view point, std::string_view more) {
    return MarksOf(fmt::format(R"("messages":[{{"role":"user","content":[
        {{"type":"text","text":"a","prompt_cache_breakpoint":{{"mode":"explicit"{}}}}},
        {{"type":"text","text":"b"}}]}}]{})",
                               point, more));
  };
  constexpr const char* kRequest = R"(,"prompt_cache_options":{"mode":"explicit","ttl":"2h"})";
  EXPECT_EQ(marks("", "").at(0).ttl, std::chrono::minutes(30));
  EXPECT_EQ(marks("", kRequest).at(0).ttl, std::chrono::hours(2));
  EXPECT_EQ(marks(R"(,"ttl":"12h")", kRequest).at(0).ttl, std::chrono::hours(12));
}

TEST(CallTest, ALifetimeForTheWholePromptTakesOneOfTheFourPlaces) {
  std::string parts;
  for (int i = 0; i < 6; ++i) {
    parts += R"({"type":"text","text":"a-","prompt_cache_breakpoint":{"mode":"explicit"}},)";
  }
  const std::string messages = fmt::format(
      R"("messages":[{{"role":"user","content":[{}{{"type":"text","text":"b"}}]}}])", parts);
  const auto four = MarksOf(messages);
  const auto with_end = MarksOf(messages + R"(,"prompt_cache_retention":"24h")");
  ASSERT_EQ(four.size(), 4U);
  ASSERT_EQ(with_end.size(), 4U);
  EXPECT_EQ(with_end[0], four[1]) << "the latest three";
  EXPECT_EQ(with_end[3].ttl, std::chrono::hours(24));
  EXPECT_GT(with_end[3].tokens, four[3].tokens);
}

TEST(CallTest, ExplicitCachingWithoutAMarkIsNone) {
  constexpr const char* kExplicit = R"(,"prompt_cache_options":{"mode":"explicit"})";
  EXPECT_EQ(Chat(kExplicit)->parameters.cache, CacheUse::kNone);
  EXPECT_EQ(Prompt(R"("x")", kExplicit)->parameters.cache, CacheUse::kNone);
  EXPECT_EQ(Chat(R"(,"prompt_cache_options":{"mode":"implicit"})")->parameters.cache,
            CacheUse::kReadAndPublish);
}

TEST(CallTest, AByteOrderMarkIsSkipped) {
  const auto call =
      kTextCompletions.read("\xEF\xBB\xBF{\"prompt\":\"a\"}", {.seed = 42}, SharedTestModel());
  EXPECT_TRUE(call) << call.error().message;
}

// Agents look for OpenAI's words. What cannot fit by its bytes alone is not tokenised.
TEST(CallTest, APromptOverTheContextIsSaidInTheVendorsWords) {
  for (const size_t bytes : {size_t{200'000}, size_t{20'000'000}}) {
    const auto call = Prompt(fmt::format("\"{:a>{}}\"", "", bytes));
    ASSERT_FALSE(call);
    EXPECT_EQ(call.error().code, ErrorCode::kContextLengthExceeded);
    EXPECT_TRUE(call.error().message.starts_with("This model's maximum context length is "))
        << call.error().message;
    EXPECT_TRUE(call.error().message.ends_with(
        "Please reduce the length of the messages. (context_length_exceeded)"));
  }
}

}  // namespace
}  // namespace reprise

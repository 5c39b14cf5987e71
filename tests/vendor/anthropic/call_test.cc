// Reading a messages call: what becomes of blocks, tools and marks, leniently and strictly.

#include "vendor/anthropic/call.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "fixtures/test_model.h"
#include "vendor/anthropic/billing_line.h"
#include "vendor/marker_rules.h"

namespace reprise {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kMark = R"("cache_control":{"type":"ephemeral"})";

ServedModel Strict() {
  ServedModel model = TestModel();
  model.policy.strict_api = true;
  return model;
}

Result<Call> Read(std::string_view fields, const ServedModel& model = SharedTestModel()) {
  return ReadMessagesCall(fmt::format(R"({{"max_tokens":5,{}}})", fields), {.seed = 42}, model);
}

Result<Call> Messages(std::string_view messages, const ServedModel& model = SharedTestModel()) {
  return Read(fmt::format(R"("messages":{})", messages), model);
}

std::string Text(const Result<Call>& call, const ServedModel& model = SharedTestModel()) {
  return call ? model.tokenizer->Decode(call->prompts.at(0), true) : call.error().message;
}

// The text before each breakpoint.
std::vector<std::string> Kept(const Result<Call>& call,
                              const ServedModel& model = SharedTestModel()) {
  std::vector<std::string> kept;
  for (const Breakpoint& breakpoint : call->breakpoints.at(0)) {
    std::vector<TokenId> tokens = call->prompts[0];
    tokens.resize(breakpoint.tokens);
    kept.push_back(model.tokenizer->Decode(tokens, true));
  }
  return kept;
}

TEST(AnthropicCallTest, BlocksAreJoinedAndMessagesOfOneRoleAreOne) {
  EXPECT_EQ(Text(Read(R"("system":[{"type":"text","text":"a"},{"type":"text","text":""},
                        {"type":"text","text":"b"}],
                        "messages":[{"role":"user","content":"c"},
                                    {"role":"user","content":[{"type":"text","text":"d"}]}])")),
            "<|im_start|>system\na\n\nb<|im_end|>\n<|im_start|>user\nc\n\nd<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(AnthropicCallTest, ParametersReachTheEngine) {
  const auto call =
      Read(R"("messages":[{"role":"user","content":"x"}],"temperature":0.5,"top_p":0.25,"top_k":7,
              "stop_sequences":["u","v"],"stream":true,"seed":9,"thinking":{"type":"enabled"},
              "tool_choice":{"type":"auto"},"metadata":{"user_id":"u"},"unknown":[1])");
  ASSERT_TRUE(call) << call.error().message;
  const GenerationRequest request = RequestOfChoice(*call, 0, TestModel());
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.top_p, 0.25F);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.sampling.seed, 9U);
  EXPECT_EQ(request.max_tokens, 5);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"u", "v"}));
  EXPECT_TRUE(call->parameters.stream);
}

TEST(AnthropicCallTest, AnAssistantsLastMessageIsContinuedWhereItsTextEnds) {
  const auto call =
      Messages(R"([{"role":"user","content":"x"},{"role":"assistant","content":"he"}])");
  EXPECT_EQ(Text(call), "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\nhe");
}

TEST(AnthropicCallTest, ThinkingIsDropped) {
  EXPECT_EQ(Text(Messages(R"([{"role":"user","content":"x"},
              {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},
                {"type":"redacted_thinking","data":"d"},{"type":"text","text":"y"}]},
              {"role":"user","content":"z"}])")),
            "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\ny<|im_end|>\n"
            "<|im_start|>user\nz<|im_end|>\n<|im_start|>assistant\n");
}

constexpr const char* kToolTraffic = R"([{"role":"user","content":"x"},
    {"role":"assistant","content":[{"type":"text","text":"y"},
      {"type":"tool_use","id":"t1","name":"look","input":{"q":1},
       "cache_control":{"type":"ephemeral"}}]},
    {"role":"user","content":[
      {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"r"}],
       "cache_control":{"type":"ephemeral"}},
      {"type":"text","text":"z"}]}])";

TEST(AnthropicCallTest, ToolTrafficReachesATemplateThatKnowsIt) {
  const ServedModel model = TestModel(
      "{% for m in messages %}[{{ m.role }}|{{ m.name }}|{{ m.content }}"
      "{% for c in m.tool_calls %}|{{ c.function.name }}={{ c.function.arguments.q }}{% endfor %}]"
      "{% endfor %}");
  const auto call = Messages(kToolTraffic, model);
  EXPECT_EQ(Text(call, model), "[user||x][assistant||y|look=1][tool|look|r][user||z]");
  EXPECT_EQ(Kept(call, model), (std::vector<std::string>{"[user||x][assistant||y|look=1",
                                                         "[user||x][assistant||y|look=1][tool|"
                                                         "look|r"}));
}

TEST(AnthropicCallTest, ToolTrafficBecomesTextForATemplateThatDoesNot) {
  // ChatML shows any role, but no calls.
  const auto call = Messages(kToolTraffic);
  const std::string to_call =
      "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\ny\n<tool_call>\n"
      "{\"name\":\"look\",\"arguments\":{\"q\":1}}\n</tool_call>";
  const std::string to_result = to_call + "<|im_end|>\n<|im_start|>tool\nr";
  EXPECT_EQ(Text(call),
            to_result + "<|im_end|>\n<|im_start|>user\nz<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(Kept(call), (std::vector<std::string>{to_call, to_result}));
}

TEST(AnthropicCallTest, ResultsJoinTheUsersTextWhereTheTemplateTakesNoToolRole) {
  const ServedModel model = TestModel(
      "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no') }}{% endif %}"
      "[{{ m.role }}|{{ m.content }}]{% endfor %}");
  const auto call = Messages(kToolTraffic, model);
  const std::string to_result =
      "[user|x][assistant|y\n<tool_call>\n{\"name\":\"look\",\"arguments\":{\"q\":1}}\n"
      "</tool_call>][user|<tool_response>\nr";
  EXPECT_EQ(Text(call, model), to_result + "\n</tool_response>\n\nz]");
  EXPECT_EQ(Kept(call, model).at(1), to_result);
}

TEST(AnthropicCallTest, ToolDefinitionsStandBeforeTheSystemTextAndKeepTheirMarks) {
  const auto read = [](std::string_view more) {
    return Read(fmt::format(
        R"("tools":[{{"name":"a","input_schema":{{"type":"object"}},{0}}},
                    {{"name":"b","description":"d","input_schema":{{"type":"object"}}}}],{1}
           "messages":[{{"role":"user","content":"x"}}])",
        kMark, more));
  };
  const auto with_system =
      read(fmt::format(R"("system":[{{"type":"text","text":"s",{}}}],)", kMark));
  const std::string text = Text(with_system);
  const size_t first = text.find(R"({"type":"function","function":{"name":"a","parameters":)");
  const size_t second = text.find(R"("name":"b","description":"d")");
  const size_t system = text.find("</tools>\n\ns<|im_end|>");
  ASSERT_NE(system, std::string::npos) << text;
  EXPECT_LT(first, second);
  EXPECT_LT(second, system);
  const auto kept = Kept(with_system);
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_TRUE(kept[0].ends_with(R"("parameters":{"type":"object"}}})")) << kept[0];
  EXPECT_EQ(kept[1], text.substr(0, system + 11));
  EXPECT_EQ(Kept(read("")).at(0), kept[0]) << "a system message is made where there is none";
}

TEST(AnthropicCallTest, AMarkEndsItsBlock) {
  const auto call = Read(fmt::format(
      R"("system":[{{"type":"text","text":"s1",{0}}},{{"type":"text","text":"s2"}}],
         "messages":[{{"role":"user","content":[{{"type":"text","text":"u1",{0}}},
                                                {{"type":"text","text":"u2"}}]}},
                     {{"role":"assistant","content":"w"}},
                     {{"role":"user","content":[{{"type":"text","text":"u3",{0}}}]}}])",
      kMark));
  EXPECT_EQ(
      Kept(call),
      (std::vector<std::string>{
          "<|im_start|>system\ns1", "<|im_start|>system\ns1\n\ns2<|im_end|>\n<|im_start|>user\nu1",
          "<|im_start|>system\ns1\n\ns2<|im_end|>\n<|im_start|>user\nu1\n\nu2<|im_end|>\n"
          "<|im_start|>assistant\nw<|im_end|>\n<|im_start|>user\nu3"}));
  EXPECT_EQ(call->warning, "");
}

TEST(AnthropicCallTest, TheTopLevelMarkIsOnTheLastBlockThatCanCarryOne) {
  const auto call = Messages(
      R"([{"role":"user","content":[{"type":"text","text":"u"},{"type":"text","text":""}]}],
         "cache_control":{"type":"ephemeral","ttl":"1h"})");
  EXPECT_EQ(Kept(call), (std::vector<std::string>{"<|im_start|>user\nu"}));
  EXPECT_EQ(call->breakpoints[0][0].ttl, hours(1));
  const auto tools = Read(
      R"("tools":[{"name":"a","input_schema":{"type":"object"}}],
         "messages":[{"role":"user","content":"x"}],"cache_control":{"type":"ephemeral"})");
  EXPECT_TRUE(Kept(tools).at(0).ends_with("user\nx")) << "shifted behind the tools' text";
}

TEST(AnthropicCallTest, ATopLevelMarkOfTheLastMarksOwnTtlIsTheSameMark) {
  const auto read = [](std::string_view ttl, const ServedModel& model) {
    return Messages(fmt::format(R"([{{"role":"user","content":[{{"type":"text","text":"u",{}}}]}}],
                                    "cache_control":{{"type":"ephemeral","ttl":"{}"}})",
                                kMark, ttl),
                    model);
  };
  EXPECT_EQ(read("5m", SharedTestModel())->breakpoints[0].size(), 1U);
  EXPECT_EQ(read("5m", SharedTestModel())->warning, "");
  EXPECT_NE(read("1h", SharedTestModel())->warning, "");
  EXPECT_TRUE(read("5m", Strict()));
  EXPECT_FALSE(read("1h", Strict()));
}

TEST(AnthropicCallTest, TheTopLevelMarkTakesOneOfTheFourPlaces) {
  std::string blocks;
  for (int i = 0; i < 4; ++i)
    blocks += fmt::format(R"({{"type":"text","text":"u{}",{}}},)", i, kMark);
  const auto call = Messages(fmt::format(
      R"([{{"role":"user","content":[{}{{"type":"text","text":"end"}}]}}],{})", blocks, kMark));
  EXPECT_EQ(call->breakpoints[0].size(), 4U);
  EXPECT_EQ(call->warning, "A maximum of 4 blocks with cache_control may be provided. Found 5.");
}

TEST(AnthropicCallTest, AMarkOnAToolResultsLastBlockIsOneOnTheResult) {
  const auto call = Messages(fmt::format(
      R"([{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t",
           "content":[{{"type":"text","text":"a"}},{{"type":"text","text":"b",{}}}]}}]}}])",
      kMark));
  EXPECT_EQ(Kept(call), (std::vector<std::string>{"<|im_start|>tool\na\n\nb"}));
}

TEST(AnthropicCallTest, AMarkOnAnEmptyToolResultHasItsPlace) {
  const auto call = Messages(fmt::format(
      R"([{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t",{}}}]}}])", kMark));
  EXPECT_EQ(Kept(call), (std::vector<std::string>{"<|im_start|>tool\n"}));
}

// -- Lenient and strict: one table ----------------------------------------------------------------

struct Breach {
  const char* blocks;  // of a user's message
  size_t kept;         // marks that stay
  const char* sentence;
};

constexpr const char* kOrder =
    "messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
    "ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, "
    "`system`, `messages`.";

const Breach kBreaches[] = {
    {R"({"type":"text","text":"a","cache_control":{"type":"ephemeral"}},
        {"type":"text","text":"","cache_control":{"type":"ephemeral"}})",
     1, "messages.0.content.1.text: cache_control cannot be set for empty text blocks"},
    {R"({"type":"text","text":"a"},
        {"type":"thinking","thinking":"t","cache_control":{"type":"ephemeral"}})",
     0, "messages.0.content.1: cache_control cannot be set for thinking blocks"},
    {R"({"type":"text","text":"a","cache_control":{"type":"ephemeral"}},
        {"type":"text","text":"b","cache_control":{"type":"ephemeral","ttl":"1h"}})",
     1, kOrder},
    {R"({"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"week"}})", 0,
     "messages.0.content.0.cache_control.ttl: Input should be '5m' or '1h'"},
    {R"({"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"-5m"}})", 0,
     "messages.0.content.0.cache_control.ttl: Input should be '5m' or '1h'"},
    {R"({"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"0s"}})", 0,
     "messages.0.content.0.cache_control.ttl: Input should be '5m' or '1h'"},
    {R"({"type":"text","text":"a","cache_control":"ephemeral"})", 0,
     "messages.0.content.0.cache_control: Input should be an object"},
    {R"({"type":"text","text":"a","cache_control":{}})", 0,
     "messages.0.content.0.cache_control.type: Input should be 'ephemeral'"},
};

TEST(AnthropicMarksTest, ABreachIsIgnoredWithAWarningOrRefusedWithTheSameWords) {
  for (const Breach& breach : kBreaches) {
    const std::string messages =
        fmt::format(R"([{{"role":"user","content":[{}]}}])", breach.blocks);
    const auto lenient = Messages(messages);
    ASSERT_TRUE(lenient) << lenient.error().message;
    EXPECT_EQ(lenient->breakpoints[0].size(), breach.kept) << breach.blocks;
    EXPECT_EQ(lenient->warning, breach.sentence);
    const auto strict = Messages(messages, Strict());
    ASSERT_FALSE(strict) << breach.blocks;
    EXPECT_EQ(strict.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(strict.error().message, breach.sentence);
  }
}

TEST(AnthropicMarksTest, ScopeAndOtherFieldsInsideAreTolerated) {
  EXPECT_TRUE(Messages(R"([{"role":"user","content":[{"type":"text","text":"a",
      "cache_control":{"type":"ephemeral","ttl":"1h","scope":"global"}}]}])",
                       Strict()));
}

TEST(AnthropicMarksTest, ALifetimeOverTheLongestIsShortened) {
  ServedModel model = TestModel();
  model.policy.ttl_max = minutes(2);
  const auto call = Messages(R"([{"role":"user","content":[
      {"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]}])",
                             model);
  EXPECT_EQ(call->breakpoints[0].at(0).ttl, minutes(2));
  EXPECT_EQ(call->warning,
            "messages.0.content.0.cache_control.ttl: the longest lifetime here is 2m");
}

TEST(AnthropicMarksTest, AHundredThousandMarksMakeAShortWarning) {
  std::string blocks;
  for (int i = 0; i < 100'000; ++i) {
    blocks += R"({"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"x"}},)";
  }
  const auto call = Messages(fmt::format(
      R"([{{"role":"user","content":[{}{{"type":"text","text":"a"}}]}}],"max_tokens":0)", blocks));
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().code, ErrorCode::kContextLengthExceeded);
  const ApiPolicy policy;
  MarkerRules rules(policy);
  for (int i = 0; i < 100'000; ++i) rules.Breach("here", "wrong");
  EXPECT_EQ(rules.warning(),
            "here: wrong | here: wrong | here: wrong | here: wrong | and 99996 more");
}

TEST(AnthropicMarksTest, ShortPrefixesAreNotKeptUnderAMinimum) {
  ServedModel model = TestModel();
  const std::string messages = fmt::format(
      R"([{{"role":"user","content":[{{"type":"text","text":"a",{0}}},
           {{"type":"text","text":"hello hello hello",{0}}}]}}])",
      kMark);
  const auto all = Messages(messages, model);
  ASSERT_EQ(all->breakpoints[0].size(), 2U);
  model.policy.cache_minimum_tokens = all->breakpoints[0][1].tokens;
  const auto some = Messages(messages, model);
  EXPECT_EQ(some->breakpoints[0].size(), 1U);
  EXPECT_EQ(some->parameters.cache, CacheUse::kReadAndPublish);
  model.policy.cache_minimum_tokens = all->prompts[0].size() + 1;
  EXPECT_EQ(Messages(messages, model)->parameters.cache, CacheUse::kNone);
}

TEST(TtlTest, IsANumberAndAUnit) {
  EXPECT_EQ(ParseTtl("90s"), seconds(90));
  EXPECT_EQ(ParseTtl("5m"), minutes(5));
  EXPECT_EQ(ParseTtl("12h"), hours(12));
  EXPECT_EQ(ParseTtl("7d"), hours(168));
  for (const char* wrong : {"", "5", "m", "-5m", "+5m", "0m", "5 m", "5min", "5M", "5.5m", " 5m",
                            "99999999999h", "4294967295d", "5m5m"}) {
    EXPECT_EQ(ParseTtl(wrong), std::nullopt) << wrong;
  }
  for (const char* text : {"90s", "5m", "1h", "12h", "1d", "3650d"}) {
    EXPECT_EQ(TtlText(*ParseTtl(text)), text);
  }
}

// -- The billing line -----------------------------------------------------------------------------

TEST(BillingLineTest, HasExactlyOneForm) {
  EXPECT_TRUE(IsBillingLine(
      "x-anthropic-billing-header: cc_version=2.1.197.a1f; cc_entrypoint=cli; cch=0b3f1;"));
  for (const char* other : {
           "",
           "x-anthropic-billing-header:",
           "x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli; cch=0b3f1",
           "x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli; cch=0b3f1; ",
           "x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli; cch=0b3f1;\nYou are",
           "x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli; cch=;",
           "x-anthropic-billing-header: cc_version=2; cc_entrypoint=c li; cch=1;",
           "x-anthropic-billing-header: cc_entrypoint=cli; cc_version=2; cch=1;",
           "x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli; cch=1; more=1;",
           " x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli; cch=1;",
           "X-Anthropic-Billing-Header: cc_version=2; cc_entrypoint=cli; cch=1;",
       }) {
    EXPECT_FALSE(IsBillingLine(other)) << other;
  }
}

TEST(BillingLineTest, IsDroppedAsTheFirstSystemBlockOnly) {
  constexpr const char* kLine =
      R"({"type":"text","text":"x-anthropic-billing-header: cc_version=2; cc_entrypoint=c; cch=1;"})";
  constexpr const char* kOther = R"({"type":"text","text":"s"})";
  const auto read = [](std::string_view first, std::string_view second, const ServedModel& model) {
    return Read(fmt::format(R"("system":[{},{}],"messages":[{{"role":"user","content":"x"}}])",
                            first, second),
                model);
  };
  const auto dropped = read(kLine, kOther, SharedTestModel());
  EXPECT_TRUE(dropped->dropped_billing_line);
  EXPECT_TRUE(Text(dropped).starts_with("<|im_start|>system\ns<|im_end|>"));
  const auto second = read(kOther, kLine, SharedTestModel());
  EXPECT_FALSE(second->dropped_billing_line);
  EXPECT_NE(Text(second).find("cch=1;"), std::string::npos);
  ServedModel keeping = TestModel();
  keeping.policy.drop_billing_line = false;
  EXPECT_NE(Text(read(kLine, kOther, keeping)).find("cch=1;"), std::string::npos);
  EXPECT_NE(
      Text(Messages(fmt::format(R"([{{"role":"user","content":[{}]}}])", kLine))).find("cch=1;"),
      std::string::npos)
      << "a user may say it";
}

TEST(CountTokensTest, CountsThePromptWithoutItsLimits) {
  const std::string fields = R"("messages":[{"role":"user","content":"hello"}])";
  const auto counted = CountMessageTokens(fmt::format("{{{}}}", fields), {}, SharedTestModel());
  ASSERT_TRUE(counted) << "max_tokens is not needed";
  EXPECT_EQ(*counted, Read(fields)->prompts[0].size());
  const std::string longer(3 * static_cast<size_t>(SharedTestModel().max_sequence_tokens), '-');
  EXPECT_TRUE(CountMessageTokens(
      fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]}})", longer), {},
      SharedTestModel()));
}

}  // namespace
}  // namespace reprise

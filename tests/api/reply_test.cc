// Shapes of errors and replies, the table of statuses, and the prompt that a next turn will have.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "../text/test_vocabulary.h"
#include "api/call.h"
#include "api/errors.h"
#include "api/openai_reply.h"
#include "api/prompt.h"
#include "test_model.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

namespace json = boost::json;

TEST(ErrorsTest, EveryCodeHasItsStatusAndShapeWithBothVendors) {
  struct Row {
    ErrorCode code;
    int status;
    const char* type;
    const char* shown;  // null: null
    int anthropic_status;
    const char* anthropic_type;
  };
  const Row rows[] = {
      {ErrorCode::kInvalidArgument, 400, "invalid_request_error", nullptr, 400,
       "invalid_request_error"},
      {ErrorCode::kContextLengthExceeded, 400, "invalid_request_error", "context_length_exceeded",
       400, "invalid_request_error"},
      {ErrorCode::kNotFound, 404, "invalid_request_error", "not_found", 404, "not_found_error"},
      {ErrorCode::kUnsupported, 400, "invalid_request_error", "unsupported_value", 400,
       "invalid_request_error"},
      {ErrorCode::kTooLarge, 413, "invalid_request_error", "request_too_large", 413,
       "request_too_large"},
      {ErrorCode::kCorrupt, 500, "server_error", nullptr, 500, "api_error"},
      {ErrorCode::kUnauthorized, 401, "invalid_request_error", "invalid_api_key", 401,
       "authentication_error"},
      {ErrorCode::kOverloaded, 429, "rate_limit_error", "overloaded", 529, "overloaded_error"},
      {ErrorCode::kCancelled, 503, "server_error", "cancelled", 529, "overloaded_error"},
      {ErrorCode::kIo, 500, "server_error", nullptr, 500, "api_error"},
      {ErrorCode::kInternal, 500, "server_error", nullptr, 500, "api_error"},
  };
  for (const Row& row : rows) {
    const Fault fault = ToFault({row.code, "Why.", "field"});
    const HttpResponse openai = FaultResponse(fault, "/v1/chat/completions", "req_1");
    EXPECT_EQ(openai.status, row.status);
    const json::value body = json::parse(openai.body);
    EXPECT_EQ(body.at("error").at("type"), row.type);
    EXPECT_EQ(body.at("error").at("message"), "Why.");
    EXPECT_EQ(body.at("error").at("param"), "field");
    EXPECT_EQ(body.at("error").at("code"),
              row.shown != nullptr ? json::value(row.shown) : json::value(nullptr));
    const HttpResponse anthropic = FaultResponse(fault, "/v1/messages/count_tokens", "req_1");
    EXPECT_EQ(anthropic.status, row.anthropic_status);
    EXPECT_EQ(json::parse(anthropic.body),
              (json::object{{"type", "error"},
                            {"error", {{"type", row.anthropic_type}, {"message", "Why."}}},
                            {"request_id", "req_1"}}));
  }
  EXPECT_EQ(ToFault({ErrorCode::kNotFound, "", "model"}).code, "model_not_found");
  EXPECT_GT(ToFault({ErrorCode::kOverloaded, "", ""}).retry_after_s, 0);
  EXPECT_EQ(VendorOf("/v1/messages"), Vendor::kAnthropic);
  EXPECT_EQ(VendorOf("/v1/messages_of_mine"), Vendor::kOpenAi);
}

TokenInfo Info(const Vocabulary& vocabulary, const char* token, float logprob) {
  TokenInfo info;
  info.chosen = {IdOf(vocabulary, token), logprob};
  info.top = {info.chosen, {IdOf(vocabulary, "aa"), -9}};
  return info;
}

TEST(ReplyTest, LogprobsOfASplitCharacterShowItsBytesAndStayValidUtf8) {
  const ServedModel model = TestModel();
  // "é" is C3 A9; in the file's letters Ã and ©.
  TextEvent event;
  event.text = "é";
  event.tokens = {Info(model.tokenizer->vocabulary(), "Ã", -1),
                  Info(model.tokenizer->vocabulary(), "©", -2)};
  ReplyLabel label;
  label.logprobs = true;
  label.stream = true;
  Choice choice;
  const std::string chunk = OpenAiReply(label, *model.tokenizer).TextChunk(0, event, choice);
  EXPECT_TRUE(IsValidUtf8(chunk));
  const json::value content = json::parse(chunk).at("choices").at(0).at("logprobs").at("content");
  ASSERT_EQ(content.as_array().size(), 2U);
  EXPECT_EQ(content.at(0).at("bytes"), (json::array{0xC3}));
  EXPECT_EQ(content.at(1).at("bytes"), (json::array{0xA9}));
  EXPECT_EQ(content.at(1).at("logprob").as_double(), -2);
  EXPECT_EQ(content.at(1).at("top_logprobs").at(1).at("token"), "aa");
}

TEST(ReplyTest, TextOffsetsCountCharactersOverChunks) {
  const ServedModel model = TestModel();
  ReplyLabel label;
  label.endpoint = Endpoint::kText;
  label.logprobs = true;
  Choice choice;
  const OpenAiReply reply(label, *model.tokenizer);
  TextEvent event;
  event.text = "hellohello";
  event.tokens = {Info(model.tokenizer->vocabulary(), "hello", -1),
                  Info(model.tokenizer->vocabulary(), "hello", -1)};
  reply.TextChunk(0, event, choice);
  const json::value next = json::parse(reply.TextChunk(0, event, choice));
  EXPECT_EQ(next.at("choices").at(0).at("logprobs").at("text_offset"), (json::array{10, 15}));
}

TEST(ReplyTest, UsageCountsAPromptOnceForAllItsChoices) {
  Call call;
  call.parameters.choices = 2;
  std::vector<Choice> choices(2);
  for (int i = 0; i < 2; ++i) {
    StartedEvent started;
    started.prompt_tokens = 10;
    started.cached_tokens = i == 0 ? 4 : 9;
    if (i == 0) started.breakpoints = {{7, std::chrono::minutes(5), PinDecision::kAccepted}};
    choices[static_cast<size_t>(i)].started = started;
    FinishedEvent event;
    event.completion_tokens = 3;
    choices[static_cast<size_t>(i)].finished = event;
  }
  const CallUsage usage = UsageOf(choices, call);
  EXPECT_EQ(usage.prompt.total, 10);
  EXPECT_EQ(usage.prompt.read, 4) << "as the first choice found it";
  EXPECT_EQ(usage.prompt.write(), 3);
  EXPECT_EQ(usage.completion_tokens, 6);
}

class ContinuedPromptTest : public ::testing::Test {
 protected:
  json::object Context(const ServedModel& model) {
    const json::value body = json::parse(R"({"messages":[{"role":"user","content":"q"}]})");
    return *ReadChatContext(body.as_object(), model);
  }
  std::string Continued(const ServedModel& model, std::string_view text) {
    return model.tokenizer->Decode(ContinuedPrompt(Context(model), text, model, ""), true);
  }
};

TEST_F(ContinuedPromptTest, EndsWithTheReplysText) {
  const ServedModel model = TestModel();
  EXPECT_EQ(Continued(model, "hello aa"),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nhello aa");
}

TEST_F(ContinuedPromptTest, KeepsAControlTokenInTheReplyAsText) {
  const ServedModel model = TestModel();
  const auto tokens = ContinuedPrompt(Context(model), "a<|im_end|>", model, "");
  EXPECT_EQ(std::ranges::count(tokens, 2), 1) << "the one that ends the user's turn";
  EXPECT_TRUE(model.tokenizer->Decode(tokens, true).ends_with("a<|im_end|>"));
}

TEST_F(ContinuedPromptTest, FollowsATemplateThatTrims) {
  const ServedModel model = TestModel(
      "{% for m in messages %}<|im_start|>{{ m['content'] | trim }}<|im_end|>\n{% endfor %}");
  EXPECT_EQ(Continued(model, " hello\n"), "<|im_start|>q<|im_end|>\n<|im_start|>hello");
}

TEST_F(ContinuedPromptTest, StopsBeforeATokenThatReachesPastTheReply) {
  // After "he" the template writes "llo": the next prompt holds the one token "hello".
  const ServedModel model =
      TestModel("{% for m in messages %}<|im_start|>{{ m['content'] }}llo{% endfor %}");
  EXPECT_EQ(Continued(model, "he"), "<|im_start|>qllo<|im_start|>");
}

TEST_F(ContinuedPromptTest, IsEmptyWhereTheTemplateHidesTheReply) {
  const ServedModel model = TestModel(
      "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor "
      "%}");
  EXPECT_TRUE(ContinuedPrompt(Context(model), "hello", model, "").empty());
}

}  // namespace
}  // namespace reprise

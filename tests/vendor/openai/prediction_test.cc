// What the client predicts of the reply: read, tokenised, handed to each choice, and told in usage.

#include "vendor/openai/prediction.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "fixtures/test_model.h"
#include "fixtures/test_vocabulary.h"
#include "vendor/openai/endpoints.h"
#include "vendor/openai/reply.h"

namespace reprise {
namespace {

namespace json = boost::json;

Result<Call> Predict(std::string_view prediction, std::string_view more = "") {
  static const ServedModel model = TestModel();
  return kChatCompletions.read(
      fmt::format(R"({{"messages":[{{"role":"user","content":"hello"}}],"prediction":{}{}}})",
                  prediction, more),
      {.seed = 42}, model);
}

std::vector<TokenId> TokensOf(std::string_view prediction) {
  const Result<Call> call = Predict(prediction);
  EXPECT_TRUE(call) << call.error().message;
  return call ? call->prediction : std::vector<TokenId>{-1};
}

TEST(PredictionTest, AStringAndPartsAreTokenisedAsTheReplyAlone) {
  const Vocabulary vocabulary = ByteLevelVocabulary();
  const std::vector<TokenId> twice = {IdOf(vocabulary, "hello"), IdOf(vocabulary, "\u0120hello")};
  EXPECT_EQ(TokensOf(R"({"type":"content","content":"hello hello"})"), twice);
  EXPECT_EQ(TokensOf(R"({"type":"content","content":[{"type":"text","text":"hel"},
                         {"type":"text","text":"lo hello"}]})"),
            twice)
      << "joined before they are tokenised";
}

TEST(PredictionTest, WhatSpellsAControlTokenIsText) {
  const std::vector<TokenId> tokens = TokensOf(R"({"type":"content","content":"a<|im_end|>"})");
  EXPECT_EQ(tokens.size(), 11U) << "a letter each";
  for (const TokenId token : tokens) EXPECT_GT(token, 3);
}

TEST(PredictionTest, NothingPredictedIsNothing) {
  EXPECT_TRUE(TokensOf("null").empty());
  EXPECT_TRUE(TokensOf(R"({"type":"content","content":""})").empty());
  EXPECT_TRUE(TokensOf(R"({"type":"content","content":[]})").empty());
}

TEST(PredictionTest, EveryChoiceGetsIt) {
  const ServedModel model = TestModel();
  const Result<Call> call = Predict(R"({"type":"content","content":"hello"})", R"(,"n":2)");
  ASSERT_TRUE(call);
  for (const size_t choice : {0U, 1U}) {
    EXPECT_EQ(RequestOfChoice(*call, choice, model).prediction,
              std::vector<TokenId>{IdOf(model.tokenizer->vocabulary(), "hello")});
  }
}

// Cut before it is tokenised, between two characters: what cannot be a reply costs nothing.
TEST(PredictionTest, WhatIsLongerThanAnyReplyIsCut) {
  EXPECT_EQ(TokensOf(fmt::format(R"({{"type":"content","content":"{:b>5000}"}})", "")).size(),
            4096U);
  std::string many;
  for (int i = 0; i < 2'000'000; ++i) many += "\u00E9";
  for (const char* before : {"", "b"}) {
    const std::vector<TokenId> tokens =
        TokensOf(fmt::format(R"({{"type":"content","content":"{}{}"}})", before, many));
    EXPECT_EQ(tokens.size(), 4096U);
  }
}

// What OpenAI refuses beside a prediction works here.
TEST(PredictionTest, ItStandsBesideEveryOtherField) {
  EXPECT_TRUE(Predict(R"({"type":"content","content":"hello"})",
                      R"(,"n":2,"logprobs":true,"top_logprobs":2,"presence_penalty":1,
                         "frequency_penalty":1,"max_completion_tokens":5,"stream":true,
                         "tools":[{"type":"function","function":{"name":"f"}}])"));
}

TEST(PredictionTest, AFaultIsNamedByItsPath) {
  const auto param = [](std::string_view prediction) {
    const Result<Call> call = Predict(prediction);
    return call ? "accepted" : call.error().param;
  };
  EXPECT_EQ(param(R"("hello")"), "prediction");
  EXPECT_EQ(param(R"([{"type":"content","content":"x"}])"), "prediction");
  EXPECT_EQ(param(R"({"content":"x"})"), "prediction.type");
  EXPECT_EQ(param(R"({"type":"text","content":"x"})"), "prediction.type");
  EXPECT_EQ(param(R"({"type":7,"content":"x"})"), "prediction.type");
  EXPECT_EQ(param(R"({"type":"content"})"), "prediction.content");
  EXPECT_EQ(param(R"({"type":"content","content":7})"), "prediction.content");
  EXPECT_EQ(param(R"({"type":"content","content":["x"]})"), "prediction.content[0]");
  EXPECT_EQ(param(R"({"type":"content","content":[{"type":"text","text":"x"},
                      {"type":"image_url","image_url":{"url":"x"}}]})"),
            "prediction.content[1].type");
  EXPECT_EQ(param(R"({"type":"content","content":[{"type":"text"}]})"),
            "prediction.content[0].text");
  EXPECT_EQ(Predict(R"({"type":"content","content":7})").error().message,
            "'prediction.content' must be a string or an array of text parts, not an integer.");
}

TEST(PredictionTest, UsageTellsOfAllChoices) {
  const ServedModel model = TestModel();
  std::vector<Choice> choices(2);
  for (const int i : {0, 1}) {
    Choice& choice = choices[static_cast<size_t>(i)];
    choice.started.emplace().prompt_tokens = 10;
    FinishedEvent& finished = choice.finished.emplace();
    finished.accepted_prediction_tokens = 5 + i;
    finished.rejected_prediction_tokens = 20 + i;
  }
  const CallUsage usage = UsageOf(choices, 2);
  const OpenAiReply whole(OpenAiObject::kChat, {}, {}, *model.tokenizer);
  const OpenAiReply streamed(OpenAiObject::kChat, {}, {.stream = true, .usage_in_stream = true},
                             *model.tokenizer);
  for (const std::string& shown : {whole.Body(choices, usage), streamed.UsageChunk(usage)}) {
    const json::value details = json::parse(shown).at("usage").at("completion_tokens_details");
    EXPECT_EQ(details.at("accepted_prediction_tokens"), 11);
    EXPECT_EQ(details.at("rejected_prediction_tokens"), 41);
  }
}

}  // namespace
}  // namespace reprise

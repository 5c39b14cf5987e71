// OpenAI's shapes of a reply: log probabilities and their offsets.

#include "vendor/openai/reply.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "fixtures/test_model.h"
#include "fixtures/test_vocabulary.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

namespace json = boost::json;

TokenInfo Info(const Vocabulary& vocabulary, const char* token, float logprob) {
  TokenInfo info;
  info.chosen = {IdOf(vocabulary, token), logprob};
  info.top = {info.chosen, {IdOf(vocabulary, "aa"), -9}};
  return info;
}

TEST(ReplyTest, LogprobsOfASplitCharacterShowItsBytesAndStayValidUtf8) {
  const ServedModel model = TestModel();
  // "é" is C3 A9; in the file's letters Ã and ©.
  Choice choice;
  choice.tokens = {Info(model.tokenizer->vocabulary(), "Ã", -1),
                   Info(model.tokenizer->vocabulary(), "©", -2)};
  const OpenAiReply reply(OpenAiObject::kChat, {}, {.logprobs = true, .stream = true},
                          *model.tokenizer);
  const std::string chunk = reply.DeltaChunk(0, {{"content", "é"}}, choice);
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
  Choice choice;
  const OpenAiReply reply(OpenAiObject::kText, {}, {.logprobs = true}, *model.tokenizer);
  const std::vector<TokenInfo> tokens = {Info(model.tokenizer->vocabulary(), "hello", -1),
                                         Info(model.tokenizer->vocabulary(), "hello", -1)};
  choice.tokens = tokens;
  reply.DeltaChunk(0, {{"content", "hellohello"}}, choice);
  choice.tokens = tokens;
  const json::value next = json::parse(reply.DeltaChunk(0, {{"content", "hellohello"}}, choice));
  EXPECT_EQ(next.at("choices").at(0).at("logprobs").at("text_offset"), (json::array{10, 15}));
}

}  // namespace
}  // namespace reprise

// Replies that a grammar allows are calls that the reader reads, in every family's writing.

#include "dialect/call_grammar.h"

#include <gtest/gtest.h>

#include "fixtures/test_vocabulary.h"
#include "text/grammar.h"
#include "written_calls.h"

namespace reprise {
namespace {

namespace json = boost::json;

// Every byte a token, and the marks of all families as control tokens.
std::shared_ptr<const Tokenizer> MarkedTokenizer(const Dialect& dialect) {
  Vocabulary vocabulary = ByteLevelVocabulary();
  for (const std::string_view mark : MarksOf(dialect)) {
    if (!mark.starts_with("<|") && !mark.starts_with("[")) continue;
    vocabulary.tokens.emplace_back(mark);
    vocabulary.types.push_back(TokenType::kControl);
  }
  auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return std::move(*tokenizer);
}

// A reply of tokens that the grammar allows, mostly those that bring it to its end.
std::string RandomReply(const Grammar& grammar, const Tokenizer& tokenizer, std::mt19937& random) {
  const std::unique_ptr<TokenConstraint> reply = grammar.Begin();
  std::string text;
  for (int i = 0; i < 4000 && !reply->complete(); ++i) {
    for (const TokenId token : reply->TakeForced()) text += tokenizer.Piece(token);
    if (reply->complete()) break;
    const auto mask = reply->Mask();
    EXPECT_TRUE(mask.has_value()) << mask.error().message;
    if (!mask) break;
    std::vector<TokenId> allowed, closing;
    bool may_end = false;
    for (TokenId token = 0; token < static_cast<TokenId>(tokenizer.vocabulary().tokens.size());
         ++token) {
      const auto at = static_cast<size_t>(token);
      if (((*mask)[at / 32] >> (at % 32) & 1) == 0) continue;
      if (tokenizer.IsEndOfGeneration(token)) {
        may_end = true;
        continue;
      }
      allowed.push_back(token);
      const std::string_view piece = tokenizer.Piece(token);
      if (std::string_view("\"}])\n<,;").find(piece[0]) != std::string_view::npos) {
        closing.push_back(token);
      }
    }
    if (may_end && (allowed.empty() || random() % 2 == 0)) return text;
    const auto& from = !closing.empty() && random() % 4 != 0 ? closing : allowed;
    EXPECT_FALSE(from.empty());
    const TokenId token = from[random() % from.size()];
    EXPECT_TRUE(reply->Accept(token).has_value());
    text += tokenizer.Piece(token);
  }
  return reply->complete() ? text : "";
}

TEST(CallGrammarTest, WhatItAllowsIsReadAsCallsOfTheTools) {
  for (size_t i = 0; i < kToolFormats; ++i) {
    const Dialect dialect{static_cast<ToolFormat>(i), "", ""};
    SCOPED_TRACE(NameOf(dialect.tools));
    const auto tokenizer = MarkedTokenizer(dialect);
    const auto compiler = GrammarCompiler::Create(tokenizer);
    ASSERT_TRUE(compiler.has_value());
    std::mt19937 random(3);
    size_t ended = 0;
    for (int round = 0; round < 20; ++round) {
      const auto tools = std::make_shared<ToolSet>(RandomTools(random));
      const bool parallel = round % 2 == 0;
      const std::string source =
          ReplyGrammar(dialect, {.tools = tools->tools(), .parallel = parallel}, *tokenizer);
      const auto grammar = (*compiler)->Compile({GrammarSource::Kind::kLark, source});
      ASSERT_TRUE(grammar.has_value()) << grammar.error().message << "\n" << source;
      for (int reply_number = 0; reply_number < 5; ++reply_number) {
        const std::string reply = RandomReply(**grammar, *tokenizer, random);
        if (reply.empty()) continue;
        ++ended;
        const ReadReply read = Read({.dialect = dialect, .tools = tools}, reply);
        EXPECT_TRUE(read.valid) << reply;
        EXPECT_EQ(read.text, "") << reply;
        EXPECT_EQ(read.broken, "") << reply;
        EXPECT_GE(read.calls.size(), 1U) << reply;
        EXPECT_TRUE(parallel || read.calls.size() == 1) << reply;
        for (const WrittenCall& call : read.calls) {
          const json::object& parameters = tools->Find(call.name)->parameters;
          for (const json::value& name : parameters.at("required").as_array()) {
            EXPECT_TRUE(call.arguments.contains(name.as_string())) << reply;
          }
        }
      }
    }
    EXPECT_GE(ended, 50U);
  }
}

TEST(CallGrammarTest, ThinkingEndsBeforeTheCall) {
  const Dialect dialect{ToolFormat::kHermes, "<think>", "</think>"};
  const auto tokenizer = MarkedTokenizer(dialect);
  const auto compiler = GrammarCompiler::Create(tokenizer);
  const ToolSet tools(json::parse(R"([{"type":"function","function":{"name":"now"}}])").as_array());
  const auto grammar = (*compiler)->Compile(
      {GrammarSource::Kind::kLark,
       ReplyGrammar(dialect, {.tools = tools.tools(), .in_thinking = true}, *tokenizer)});
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  const auto reply = (*grammar)->Begin();
  for (const TokenId token : tokenizer->Encode("hm, a < b </think>\n\n", {})) {
    ASSERT_TRUE(reply->Accept(token).has_value());
  }
  const auto mask = reply->Mask();
  ASSERT_TRUE(mask.has_value());
  EXPECT_NE((*mask)[tokenizer->Encode("<", {})[0] / 32], 0U);
}

TEST(CallGrammarTest, FormatsThatNobodyKnowsOnlyAnnotate) {
  const json::object schema =
      json::parse(R"({"properties": {"format": {"type": "string", "format": "color"},
                                     "day": {"type": "string", "format": "date"}},
                      "default": {"format": "color"}})")
          .as_object();
  const json::object guided = GuidedSchema(schema, true);
  EXPECT_EQ(guided.at("properties"), json::parse(R"({"format": {"type": "string"},
      "day": {"type": "string", "format": "date"}})"));
  EXPECT_EQ(guided.at("default"), schema.at("default"));
}

}  // namespace
}  // namespace reprise

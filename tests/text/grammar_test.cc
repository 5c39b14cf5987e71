#include "text/grammar.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "fixtures/test_vocabulary.h"

namespace reprise {
namespace {

// The tokenizer would compose what the grammar wants decomposed.
TEST(GrammarTest, ForcedTokensGiveBackTheGrammarsOwnBytes) {
  Vocabulary vocabulary = ByteLevelVocabulary();
  vocabulary.pre = "qwen2";
  std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::Create(std::move(vocabulary)).value();
  const auto compiler = GrammarCompiler::Create(tokenizer).value();
  const std::string wanted = "hello e\u0301 \u1100\u1161";
  const auto grammar =
      compiler->Compile({.kind = GrammarSource::Kind::kLark, .text = "start: \"" + wanted + "\""})
          .value();
  const auto reply = grammar->Begin();
  std::string forced;
  for (const TokenId token : reply->TakeForced()) forced += tokenizer->Piece(token);
  EXPECT_EQ(forced, wanted);
  EXPECT_TRUE(reply->complete() || reply->Mask().has_value());
}

}  // namespace
}  // namespace reprise

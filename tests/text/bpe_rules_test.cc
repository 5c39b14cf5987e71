#include "text/bpe_rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "fixtures/test_vocabulary.h"

namespace reprise {
namespace {

struct Fault {
  const char* name;
  const char* sentence;  // a part of it
  std::function<void(Vocabulary*)> make;
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class BadVocabularyTest : public testing::TestWithParam<Fault> {};

TEST_P(BadVocabularyTest, IsCorruptAndSaysWhy) {
  Vocabulary vocabulary = ByteLevelVocabulary();
  GetParam().make(&vocabulary);
  const auto created = Tokenizer::Create(vocabulary);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(created.error().message.find(GetParam().sentence), std::string::npos)
      << created.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Faults, BadVocabularyTest,
    testing::Values(
        Fault{"NoTokens", "empty", [](Vocabulary* v) { v->tokens.clear(); }},
        Fault{"TooFewTypes", "types", [](Vocabulary* v) { v->types.pop_back(); }},
        Fault{"UnknownType", "type has the number 9",
              [](Vocabulary* v) { v->types[5] = static_cast<TokenType>(9); }},
        Fault{"SameTokenTwice", "tokens 7 and 9 are the same",
              [](Vocabulary* v) { v->tokens[9] = v->tokens[7]; }},
        Fault{"NotUtf8", "token 8 is not valid UTF-8",
              [](Vocabulary* v) { v->tokens[8] = "\xFF"; }},
        Fault{"BosBeyondTheEnd", "bos", [](Vocabulary* v) { v->bos = 1'000'000; }},
        Fault{"NegativeEos", "eos", [](Vocabulary* v) { v->eos = -1; }},
        Fault{"MergeOfNoToken", "merge 8", [](Vocabulary* v) { v->merges.push_back("zz a"); }},
        Fault{"MergeToNoToken", "merge 8", [](Vocabulary* v) { v->merges.push_back("z z"); }},
        Fault{"MergeWithoutSpace", "merge 8", [](Vocabulary* v) { v->merges.push_back("aa"); }},
        Fault{"EmptyMerge", "merge 8", [](Vocabulary* v) { v->merges.push_back(""); }},
        Fault{"MergeOfNothing", "merge 8", [](Vocabulary* v) { v->merges.push_back("a "); }}),
    [](const auto& fault) { return std::string(fault.param.name); });

TEST(BpeRulesTest, ScoresMustBeAsManyAsTokensAndNumbers) {
  Vocabulary vocabulary = SentencePieceVocabulary();
  ASSERT_TRUE(CheckVocabulary(vocabulary));
  vocabulary.scores[4] = std::nanf("");
  EXPECT_EQ(CheckVocabulary(vocabulary).error().code, ErrorCode::kCorrupt);
  vocabulary.scores.pop_back();
  EXPECT_EQ(CheckVocabulary(vocabulary).error().code, ErrorCode::kCorrupt);
}

TEST(BpeRulesTest, MergesThatWouldWriteAControlTokenAreLeftOut) {
  Vocabulary vocabulary = ByteLevelVocabulary();
  vocabulary.tokens.push_back("ab");
  vocabulary.types.push_back(TokenType::kControl);
  vocabulary.merges.push_back("a b");
  const auto rules = RulesFromMerges(vocabulary);
  ASSERT_TRUE(rules);
  EXPECT_EQ(rules->merges.size(), vocabulary.merges.size() - 1);
  EXPECT_TRUE(rules->tokens.back().empty());
}

TEST(BpeRulesTest, ScoresBecomeMergesWithTheHighestFirst) {
  const Vocabulary vocabulary = SentencePieceVocabulary();
  const BpeRules rules = RulesFromScores(vocabulary);
  std::vector<std::string> merges;
  for (const BpeRules::Merge& merge : rules.merges) {
    merges.push_back(vocabulary.tokens[merge.left] + " " + vocabulary.tokens[merge.right]);
  }
  EXPECT_EQ(merges, (std::vector<std::string>{"\u2581 h", "e l", "l o", "\u2581h el",
                                              "\u2581hel lo", "\u2581 \u2581"}));
}

}  // namespace
}  // namespace reprise

#include "text/control_escape.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace reprise {
namespace {

TokenMatcher MatcherOf(const std::vector<std::string>& tokens) {
  TokenMatcher matcher;
  for (size_t i = 0; i < tokens.size(); ++i) matcher.Add(tokens[i], static_cast<TokenId>(i));
  return matcher;
}

TEST(TokenMatcherTest, TheLeftmostMatchWinsAndThereTheLongest) {
  const TokenMatcher matcher = MatcherOf({"<a>", "<a>b", "a>", "<"});
  const auto match = matcher.Find("xx<a>bc", 0);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->begin, 2u);
  EXPECT_EQ(match->size, 4u);
  EXPECT_EQ(match->token, 1);
  EXPECT_EQ(matcher.Find("xx<a>c", 0)->token, 0);
  EXPECT_EQ(matcher.Find("xx<a>c", 3)->token, 2);
  EXPECT_FALSE(matcher.Find("xxb", 0));
  EXPECT_FALSE(matcher.Find("", 0));
}

TEST(TokenMatcherTest, NoTokensMatchNothing) {
  EXPECT_FALSE(TokenMatcher().Find("anything", 0));
  EXPECT_TRUE(TokenMatcher().empty());
}

TEST(ControlEscapeTest, TextWithoutControlTokensIsUnchanged) {
  const TokenMatcher control = MatcherOf({"<|im_end|>", "<|im_start|>"});
  for (const std::string text : {"", "plain", "a < b", "<|im_en d|>", "\u4E2D|>", "<p>x</p>"}) {
    EXPECT_EQ(EscapeControl(control, text), text);
  }
}

TEST(ControlEscapeTest, ASpelledControlTokenIsBrokenAfterItsFirstCharacter) {
  const TokenMatcher control = MatcherOf({"<|im_end|>"});
  EXPECT_EQ(EscapeControl(control, "a<|im_end|>b"), "a<\uFDD0\uFDD2|im_end|>b");
}

TEST(ControlEscapeTest, ABeginningAtTheEndIsBrokenToo) {
  const TokenMatcher control = MatcherOf({"<|im_end|>"});
  EXPECT_EQ(EscapeControl(control, "a<|im_"), "a<\uFDD0\uFDD2|im_");
  const std::string joined = EscapeControl(control, "a<|im_") + EscapeControl(control, "end|>");
  EXPECT_FALSE(FindUnescaped(control, joined, 0));
  EXPECT_EQ(RemoveEscapes(joined), "a<|im_end|>");
}

TEST(ControlEscapeTest, TheUsersOwnNoncharactersComeBack) {
  const TokenMatcher control = MatcherOf({"<|im_end|>"});
  for (const std::string text : {"\uFDD0", "\uFDD0\uFDD2", "\uFDD0\uFDD0\uFDD1",
                                 "<\uFDD0\uFDD2|im_end|>", "\uFDD0<|im_end|>\uFDD0"}) {
    EXPECT_EQ(RemoveEscapes(EscapeControl(control, text)), text);
    EXPECT_FALSE(FindUnescaped(control, EscapeControl(control, text), 0));
  }
}

TEST(ControlEscapeTest, ADanglingMarkStays) {
  EXPECT_EQ(RemoveEscapes("a\uFDD0"), "a\uFDD0");
  EXPECT_EQ(RemoveEscapes("\uFDD0x"), "\uFDD0x");
}

// Any tokens over a small alphabet, among them single characters and tokens inside one another; any
// texts, joined: no control token is left, and the text comes back.
TEST(ControlEscapeTest, NoCombinationOfTextsSpellsAControlToken) {
  std::mt19937 random(7);
  const std::vector<std::string> letters = {"<", "|", "a", "\u4E2D", "\uFDD0", "\uFDD2", "\uFDD3"};
  const auto any_text = [&](size_t max_letters, size_t alphabet) {
    std::string text;
    for (size_t n = random() % (max_letters + 1); n > 0; --n) text += letters[random() % alphabet];
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> tokens;
    for (size_t n = 1 + random() % 4; n > 0; --n) {
      if (std::string token = any_text(4, 4); !token.empty()) tokens.push_back(token);
    }
    const TokenMatcher control = MatcherOf(tokens);
    std::string plain, escaped;
    for (int part = 0; part < 3; ++part) {
      const std::string text = any_text(10, letters.size());
      plain += text;
      escaped += EscapeControl(control, text);
    }
    EXPECT_FALSE(FindUnescaped(control, escaped, 0)) << plain;
    EXPECT_EQ(RemoveEscapes(escaped), plain);
  }
}

}  // namespace
}  // namespace reprise

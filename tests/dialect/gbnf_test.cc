#include "dialect/gbnf.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(GbnfTest, BecomesLark) {
  const auto lark = LarkOfGbnf(
      "# a comment\nroot ::= (greeting \" \" [a-z]+) | \"x\"{2,3}\n\ngreeting ::=\n  \"hi\" |\n  "
      "\"good-bye\"? not-q .\nnot-q ::= [^\"\\\\\\n/] \"\\x41\\u00e9\"");
  ASSERT_TRUE(lark) << lark.error().message;
  EXPECT_EQ(*lark,
            "start: (g_greeting \" \" /[a-z]/+) | \"x\"{2,3}\n"
            "g_greeting: \"hi\" | \"good-bye\"? g_not_m_q /(?s:.)/\n"
            "g_not_m_q: /[^\"\\\\\\n\\/]/ \"A\xC3\xA9\"\n");
}

TEST(GbnfTest, WhatIsWrongIsSaidWithItsLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"root ::= (\"a\"", "line 1: a '(' is not closed"},
      {"root ::= \"a\"\nx ::= [a", "line 2: a '[' is not closed"},
      {"root ::= \"a", "line 1: a text is not closed"},
      {"a ::= \"b\"", "line 1: there is no rule 'root'"},
      {"root ::= \"\\u12\"", "line 1: an escape lacks digits"},
      {"root ::= \"\\ud800\"", "line 1: an escape is no character"},
      {"root = \"a\" ::=", "line 1: expected a rule, 'name ::= …'"},
  };
  for (const auto& [grammar, message] : cases) {
    const auto lark = LarkOfGbnf(grammar);
    ASSERT_FALSE(lark) << grammar;
    EXPECT_EQ(lark.error().message, message) << grammar;
  }
}

TEST(GbnfTest, EveryPrefixIsReadSafely) {
  const std::string grammar =
      "root ::= (\"a\" | [b ::= \"\\x41\\n\" .\n)+ {2,3} \"\\u00e9\" # c\nx-y ::= [^a-c\\]] x*";
  for (size_t length = 0; length <= grammar.size(); ++length) {
    const auto lark = LarkOfGbnf(grammar.substr(0, length));
    EXPECT_TRUE(lark || !lark.error().message.empty());
  }
}

}  // namespace
}  // namespace reprise

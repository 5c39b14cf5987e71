#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/limits.h"

namespace reprise {
namespace {

// Output, or the error's sentence in angle brackets.
std::string Rendered(std::string_view source, std::string_view context = "{}") {
  const auto chat_template = ChatTemplate::Create(source);
  if (!chat_template) return "<" + chat_template.error().message + ">";
  const auto rendered = (*chat_template)->Render(context);
  return rendered ? *rendered : "<" + rendered.error().message + ">";
}

TEST(ChatTemplateTest, RendersMessagesInOrder) {
  EXPECT_EQ(Rendered("{% for m in messages %}\n[{{ m.role }}] {{ m['content'] }}\n{% endfor %}\n",
                     R"({"messages":[{"role":"user","content":"<é>"},{"role":"a","content":""}]})"),
            "[user] <é>\n[a] \n");
}

TEST(ChatTemplateTest, KeepsTheOrderOfKeys) {
  EXPECT_EQ(Rendered("{{ tools | tojson }}", R"({"tools":{"z":1,"a":[1.0,null,true],"m":"</b>"}})"),
            R"({"z": 1, "a": [1.0, null, true], "m": "</b>"})");
}

TEST(ChatTemplateTest, AnErrorThatTheTemplateRaisesIsItsOwnSentence) {
  EXPECT_EQ(Rendered("{{ raise_exception('Roles must alternate!') }}"), "<Roles must alternate!>");
  EXPECT_EQ(Rendered("{% macro f() %}{{ raise_exception('deep') }}{% endmacro %}{{ f() }}"),
            "<deep>");
}

TEST(ChatTemplateTest, NoneCannotBeIteratedOverWhatIsUndefinedCan) {
  EXPECT_EQ(
      Rendered("{{ [none is iterable, missing is iterable, 'a' is iterable, 1 is iterable] }}"),
      Rendered("{{ [false, true, true, false] }}"));
}

TEST(ChatTemplateTest, AnUndefinedNameIsEmptyButHasNoAttributes) {
  EXPECT_EQ(Rendered("[{{ missing }}]"), "[]");
  EXPECT_NE(Rendered("\n{{ missing.more }}").find("line 2"), std::string::npos);
}

TEST(ChatTemplateTest, ASyntaxErrorSaysItsLine) {
  const auto broken = ChatTemplate::Create("a\nb\n{% for %}");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(broken.error().message.find("line 3"), std::string::npos) << broken.error().message;
}

TEST(ChatTemplateTest, EndlessWorkIsAnError) {
  for (const std::string_view source : {
           "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
           "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
           "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(99) %}{% set ns.s = ns.s + "
           "ns.s %}{% endfor %}",
           "{{ 'x' * 100000000000 }}",
           "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% "
           "endfor %}{{ ns.l | tojson }}",
       }) {
    const std::string rendered = Rendered(source);
    EXPECT_TRUE(rendered.starts_with("<chat template: ")) << rendered.substr(0, 200);
  }
}

// Each of these once ran out of stack, or held gigabytes.
TEST(ChatTemplateTest, WhatWouldContainItselfIsAnError) {
  const std::string ns = "{% set ns = namespace(a=1) %}";
  for (const std::string_view rest : {
           "{% set ns.a = ns %}{{ ns }}",
           "{% set ns.a = [{'b': (ns, 1)}] %}{{ ns == ns.a }}",
           "{% set ns.a = namespace(b=ns) %}{{ ns }}",
           "{% set ns.a, b = ns, 1 %}{{ ns | tojson }}",
           "{% set ns.a | default(ns, true) %}{% endset %}{{ ns }}",
           "{% macro f() %}{{ ns }}{% endmacro %}{% set ns.a = f %}{{ ns.a() }}",
           "{% for i in range(9999) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}",
           "{% for i in range(9999) %}{% set ns.a = {'a': ns.a} %}{% endfor %}",
       }) {
    EXPECT_TRUE(Rendered(ns + std::string(rest)).starts_with("<chat template: invalid operation"))
        << rest;
  }
  // What looks into the namespace when it is asked becomes what it holds now.
  EXPECT_EQ(Rendered(ns + "{% set ns.a = ns.values() %}{{ ns.a }}"), "[1]");
  EXPECT_EQ(
      Rendered(ns + "{% set ns.a = [1, {'b': (2, 'c')}] %}{{ ns.a }}{{ ns.a[1].b is sequence }}"),
      "[1, {'b': (2, 'c')}]True");
}

TEST(ChatTemplateTest, NestingOfTheSourceCostsNoStackOfOurs) {
  const auto repeated = [](std::string_view text, size_t bytes) {
    std::string all;
    while (all.size() + text.size() <= bytes) all += text;
    return all;
  };
  constexpr size_t kBytes = limits::kMaxTemplateBytes - 100;
  EXPECT_EQ(Rendered("{{ " + repeated("-", kBytes) + "1 }}"), "1");
  EXPECT_EQ(Rendered("{{ 0" + repeated("|abs", kBytes) + " }}"), "0");
  EXPECT_EQ(Rendered("{{ " + repeated("1+", kBytes / 4) + "x }}", R"({"x":1})"), "16372");
  EXPECT_TRUE(Rendered("{{ x" + repeated(".a", kBytes) + " }}").starts_with("<chat template: und"));
  EXPECT_TRUE(Rendered("{{ x" + repeated("()", kBytes) + " }}").starts_with("<chat template: "));
  EXPECT_EQ(Rendered("{% set a = [] %}" + repeated("{%set a=[a]%}", kBytes) + "{{ a | length }}"),
            "1");
  EXPECT_TRUE(Rendered(repeated("{% if 1 %}", kBytes)).starts_with("<chat template: syntax error"));
  EXPECT_TRUE(Rendered(repeated("a", kBytes + 101)).starts_with("<chat template: 131073 bytes"));
}

TEST(ChatTemplateTest, AShortPromptsTemplateHoldsNoMoreThanFuelPaysFor) {
  for (const std::string_view source : {
           "{{ '%1000000000d' | format(1) | length }}",
           "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s ~ "
           "ns.s "
           "%}{% endfor %}",
           "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = "
           "ns.s.replace('a', 'aa') %}{% endfor %}",
       }) {
    EXPECT_TRUE(Rendered(source).starts_with("<chat template: engine ran out of fuel")) << source;
  }
}

TEST(ChatTemplateTest, AContextThatIsNoObjectIsRefused) {
  for (const std::string_view context : {"", "[]", "3", "{", "{\"a\":\xFF}"}) {
    EXPECT_TRUE(Rendered("x", context).starts_with("<")) << context;
  }
}

TEST(ChatTemplateTest, DeeplyNestedValuesAreRefusedOrRendered) {
  const std::string deep(100'000, '[');
  EXPECT_TRUE(Rendered("x", "{\"a\":" + deep + "}").starts_with("<"));
}

TEST(ChatTemplateTest, SourceThatIsNotUtf8IsRefused) {
  EXPECT_FALSE(ChatTemplate::Create("a\xFF"));
}

}  // namespace
}  // namespace reprise

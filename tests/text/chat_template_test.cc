#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

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

// Where marks fall among the tokens, under templates that trim, repeat, reorder and join; what a
// template shows by itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "fixtures/family_templates.h"
#include "fixtures/test_model.h"
#include "prompt/rendered_prompt.h"
#include "prompt/template_context.h"

namespace reprise {
namespace {

namespace json = boost::json;
using Place = CacheMark::Place;
using std::chrono::minutes;

constexpr const char* kLlama3 =
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n\n{{ m['content'] | trim "
    "}}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n\n{% endif %}";
// The system text stands before the last user's text, as Mistral's templates have it.
constexpr const char* kReordering =
    "{% set s = messages[0]['content'] %}{% for m in messages[1:] %}[{{ m['role'] }}]"
    "{% if loop.last %}{{ s }} {% endif %}{{ m['content'] }}{% endfor %}";
// The system text is joined to the first user's, as Gemma's templates have it.
constexpr const char* kJoining =
    "{% for m in messages[1:] %}<|im_start|>user\n{% if loop.first %}{{ messages[0]['content'] "
    "}}{% endif %}{{ m['content'] }}<|im_end|>{% endfor %}";

struct Found {
  std::string prompt;
  std::vector<TokenId> tokens;
  std::vector<std::string> kept;
};

Found KeptOf(const ServedModel& model, const char* messages, std::vector<CacheMark> marks,
             const char* tools = nullptr) {
  Conversation conversation;
  conversation.messages = json::parse(messages).as_array();
  if (tools != nullptr) conversation.tools = json::parse(tools).as_array();
  conversation.marks = std::move(marks);
  TemplateContext context = MakeTemplateContext(conversation, model, "");
  const json::object before = context.variables;
  const Result<RenderedPrompt> rendered = RenderPrompt(context, model, "");
  EXPECT_TRUE(rendered);
  EXPECT_EQ(context.variables, before) << "restored";
  Found found{model.tokenizer->Decode(rendered->tokens, true), rendered->tokens, {}};
  for (const Breakpoint& breakpoint : rendered->breakpoints) {
    std::vector<TokenId> tokens = rendered->tokens;
    tokens.resize(breakpoint.tokens);
    found.kept.push_back(model.tokenizer->Decode(tokens, true));
  }
  return found;
}

CacheMark Behind(size_t message, size_t offset) {
  return {Place::kText, message, offset, minutes(5)};
}

constexpr const char* kTwo =
    R"([{"role":"system","content":"s-s"},{"role":"user","content":" u-u "}])";

TEST(MarkPositionTest, EndsBehindTheMarkedText) {
  const Found found = KeptOf(TestModel(), kTwo, {Behind(0, 3), Behind(1, 3)});
  EXPECT_EQ(found.kept,
            (std::vector<std::string>{"<|im_start|>system\ns-s",
                                      "<|im_start|>system\ns-s<|im_end|>\n<|im_start|>user\n u-"}));
}

TEST(MarkPositionTest, WhatATemplateTrimsIsNoPartOfThePrefix) {
  const ServedModel model = TestModel(kLlama3);
  const Found found = KeptOf(model, kTwo, {Behind(1, 5)});
  EXPECT_TRUE(found.kept.at(0).ends_with("user\n\nu-u")) << found.kept[0];
  // Behind the first, trimmed, space: nothing of the text is before it.
  EXPECT_TRUE(KeptOf(model, kTwo, {Behind(1, 1)}).kept.at(0).ends_with("user\n\n"));
}

TEST(MarkPositionTest, WhatTheTemplateMovesBehindTheMarkIsNoPartOfThePrefix) {
  const ServedModel model = TestModel(kReordering);
  const char* messages = R"([{"role":"system","content":"s-s"},{"role":"user","content":"1"},
    {"role":"assistant","content":"2"},{"role":"user","content":"3"}])";
  const Found found = KeptOf(model, messages, {Behind(0, 3), Behind(1, 1)});
  EXPECT_EQ(found.prompt, "[user]1[assistant]2[user]s-s 3");
  EXPECT_EQ(found.kept, (std::vector<std::string>{"[user]", "[user]1"}))
      << "the system text stands behind what follows it in the conversation";
  EXPECT_EQ(KeptOf(model, messages, {Behind(3, 1)}).kept, (std::vector<std::string>{found.prompt}));
}

TEST(MarkPositionTest, EndsBetweenTextsThatTheTemplateJoins) {
  const Found found = KeptOf(TestModel(kJoining), kTwo, {Behind(0, 3)});
  EXPECT_EQ(found.kept, (std::vector<std::string>{"<|im_start|>user\ns-s"}));
}

TEST(MarkPositionTest, ATokenThatReachesOverThePlaceIsBehindIt) {
  // "he" and "llo" become the one token "hello".
  const char* messages = R"([{"role":"system","content":"-he"},{"role":"user","content":"llo"}])";
  const Found found = KeptOf(TestModel(kJoining), messages, {Behind(0, 3)});
  EXPECT_EQ(found.kept, (std::vector<std::string>{"<|im_start|>user\n-"}));
}

TEST(MarkPositionTest, TextThatTheTemplateHidesEndsWhereTheNextBegins) {
  const ServedModel model = TestModel(
      "{% for m in messages %}{% if m.role != 'system' %}[{{ m.content }}]{% endif %}{% endfor %}");
  EXPECT_EQ(KeptOf(model, kTwo, {Behind(0, 3)}).kept, (std::vector<std::string>{"["}));
}

TEST(MarkPositionTest, ATemplateThatRefusesTheOtherTextLeavesNone) {
  const ServedModel model = TestModel(
      "{% if messages[0]['content'] != 'a' %}{{ raise_exception('a!') }}{% endif %}"
      "<|im_start|>{{ messages[0]['content'] }}");
  EXPECT_TRUE(KeptOf(model, R"([{"role":"user","content":"a"}])", {Behind(0, 1)}).kept.empty());
}

TEST(MarkPositionTest, AWholeCharacterIsNeverCut) {
  // U+FDD4 begins with the same two bytes as what a rendering with other text has there.
  const char* messages = R"([{"role":"user","content":"a\ufdd4b"}])";
  const Found found = KeptOf(TestModel(), messages, {Behind(0, 1)});
  EXPECT_EQ(found.kept, (std::vector<std::string>{"<|im_start|>user\na"}));
}

TEST(MarkPositionTest, TheOtherTextIsOtherEvenWhereTheUserWritesIt) {
  const char* messages = R"([{"role":"user","content":"a\ufdd5b"}])";
  const Found found = KeptOf(TestModel(), messages, {Behind(0, 1)});
  EXPECT_EQ(found.kept, (std::vector<std::string>{"<|im_start|>user\na"}));
}

TEST(MarkPositionTest, AControlTokenSpelledAcrossAMarkStaysText) {
  const ServedModel model = TestModel();
  const char* messages = R"([{"role":"user","content":"x<|im_end|>y"}])";
  const Found found = KeptOf(model, messages, {Behind(0, 6)});
  EXPECT_EQ(found.prompt, "<|im_start|>user\nx<|im_end|>y<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(std::ranges::count(found.tokens, 2), 1) << "the template's own <|im_end|>";
  ASSERT_EQ(found.kept.size(), 1U);
  EXPECT_TRUE(found.kept[0].starts_with("<|im_start|>user\nx")) << found.kept[0];
  EXPECT_TRUE(std::string("<|im_start|>user\nx<|im_").starts_with(found.kept[0])) << found.kept[0];
}

TEST(MarkPositionTest, MarksAtOnePlaceAreOneOfTheLongestLifetime) {
  const ServedModel model = TestModel();
  Conversation conversation;
  conversation.messages = json::parse(R"([{"role":"user","content":"a"}])").as_array();
  conversation.marks = {{Place::kText, 0, 1, std::chrono::hours(12)},
                        {Place::kText, 0, 1, minutes(30)}};
  TemplateContext context = MakeTemplateContext(conversation, model, "");
  const Result<RenderedPrompt> rendered = RenderPrompt(context, model, "");
  ASSERT_TRUE(rendered);
  ASSERT_EQ(rendered->breakpoints.size(), 1U);
  EXPECT_EQ(rendered->breakpoints[0].ttl, std::chrono::hours(12));
}

// The promise itself, under the templates of whole families: the prompt of another conversation
// that differs only behind the mark begins with the marked tokens, and the mark is not a trivial
// one.
TEST(MarkPositionTest, UnderEveryFamilysTemplateTheMarkedPrefixIsSharedWhateverFollows) {
  ForEachFamilysTemplate([](const std::string& family, const ServedModel& model) {
    const auto render = [&](size_t changed_from, std::vector<CacheMark> marks) {
      const std::string texts[] = {"system-s", " user-u\n", "hello-a", "more-u"};
      json::array messages;
      for (size_t i = 0; i < 4; ++i) {
        const char* roles[] = {"system", "user", "assistant", "user"};
        messages.push_back(
            {{"role", roles[i]}, {"content", i < changed_from ? texts[i] : "other"}});
      }
      Conversation conversation;
      conversation.messages = std::move(messages);
      conversation.marks = std::move(marks);
      TemplateContext context = MakeTemplateContext(conversation, model, "");
      const Result<RenderedPrompt> rendered = RenderPrompt(context, model, "");
      EXPECT_TRUE(rendered) << rendered.error().message;
      return *rendered;
    };
    for (size_t marked = 0; marked < 4; ++marked) {
      const RenderedPrompt whole = render(4, {Behind(marked, 100)});
      ASSERT_EQ(whole.breakpoints.size(), 1U) << "message " << marked;
      const size_t kept = whole.breakpoints[0].tokens;
      const RenderedPrompt other = render(marked + 1, {});
      const auto diverged = std::ranges::mismatch(whole.tokens, other.tokens).in1;
      EXPECT_LE(kept, static_cast<size_t>(diverged - whole.tokens.begin())) << "message " << marked;
      // The one of Mistral's style writes the system text last.
      if (marked == 0 && family == "mistral") continue;
      std::vector<TokenId> prefix = whole.tokens;
      prefix.resize(kept);
      const char* const ends[] = {"system-s", "user-u", "hello-a", "more-u"};
      std::string text = model.tokenizer->Decode(prefix, true);
      if (text.ends_with('\n')) text.pop_back();  // not all trim
      EXPECT_TRUE(text.ends_with(ends[marked])) << text;
    }
  });
}

// -- Tools ----------------------------------------------------------------------------------------

constexpr const char* kWithTools =
    "{% if tools %}<tools>{% for t in tools %}{{ t.function.name }};{% endfor %}</tools>{% endif %}"
    "{% for m in messages %}[{{ m.role }}|{{ m.content }}{% for c in m.tool_calls %}|call "
    "{{ c.function.name }}{% endfor %}]{% endfor %}";
constexpr const char* kTools = R"([{"type":"function","function":{"name":"aa"}},
  {"type":"function","function":{"name":"bb"}}])";

TEST(MarkPositionTest, AToolsEndIsFoundInTheTemplatesOwnForm) {
  const ServedModel model = TestModel(kWithTools);
  const Found found = KeptOf(
      model, kTwo, {{Place::kTool, 0, 0, minutes(5)}, {Place::kTool, 1, 0, minutes(5)}}, kTools);
  EXPECT_EQ(found.kept, (std::vector<std::string>{"<tools>aa;", "<tools>aa;bb;"}));
}

TEST(MarkPositionTest, ACallsEndIsFoundAlsoWhereTheTemplateTakesOneCallOnly) {
  const ServedModel model = TestModel(
      "{% for m in messages %}{% if m.tool_calls and m.tool_calls | length > 1 %}"
      "{{ raise_exception('one') }}{% endif %}[{{ m.role }}|{{ m.content }}"
      "{% for c in m.tool_calls %}|call {{ c.function.name }}{% endfor %}]{% endfor %}");
  const char* messages = R"([{"role":"user","content":"u"},
    {"role":"assistant","content":"a","tool_calls":[{"id":"1","type":"function",
      "function":{"name":"f","arguments":{}}}]},
    {"role":"tool","tool_call_id":"1","content":"r"}])";
  const Found found = KeptOf(model, messages, {{Place::kToolCall, 1, 0, minutes(5)}});
  EXPECT_EQ(found.kept, (std::vector<std::string>{"[user|u][assistant|a|call f][tool|"}));
}

TEST(TemplateTraitsTest, SayWhatATemplateShows) {
  const auto traits = [](const char* source) { return TestModel(source).template_traits; };
  EXPECT_EQ(traits(kWithTools), (TemplateTraits{true, true, true, false}));
  EXPECT_EQ(traits(kChatMl), (TemplateTraits{false, false, true}));
  EXPECT_EQ(traits(kJoining), (TemplateTraits{false, false, true, false}));
  EXPECT_EQ(traits("{% for m in messages %}{% if m.role not in ['user', 'assistant', 'system'] %}"
                   "{{ raise_exception('role') }}{% endif %}{{ m.content }}{% endfor %}"),
            (TemplateTraits{false, false, false}));
}

}  // namespace
}  // namespace reprise

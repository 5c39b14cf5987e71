// What the model wrote, given back to conversations that hold its calls.

#include "prompt/reply_memory.h"

#include <gtest/gtest.h>

#include "fixtures/family_templates.h"
#include "fixtures/test_model.h"
#include "prompt/template_context.h"

namespace reprise {
namespace {

namespace json = boost::json;

constexpr const char* kWritten =
    "Let me see.\n<tool_call>{\"name\":\"f\",\"arguments\":{\"b\":1,\"a\":2.0}}";

WrittenReply Reply(std::string id = "call_0001") {
  return {.calls = {{std::move(id), "f", json::parse(R"({"b":1,"a":2.0})").as_object()}},
          .text = "Let me see.",
          .thinking = "",
          .written = kWritten};
}

json::array Messages(std::string_view arguments, std::string_view content = " Let me see.\n") {
  json::array messages = {
      {{"role", "user"}, {"content", "u"}},
      {{"role", "assistant"},
       {"content", content},
       {"tool_calls",
        {{{"id", "call_0001"},
          {"type", "function"},
          {"function", {{"name", "f"}, {"arguments", json::parse(arguments)}}}}}}}};
  messages.push_back({{"role", "tool"}, {"tool_call_id", "call_0001"}, {"content", "r"}});
  return messages;
}

TEST(ReplyMemoryTest, NumbersKeysAndSpacesAreNoDifference) {
  const auto same = [](const char* a, const char* b) {
    return MeansTheSame(json::parse(a), json::parse(b));
  };
  EXPECT_TRUE(same(R"({"a":1,"b":[2,{"c":3}]})", R"({"b":[2.0,{"c":3e0}],"a":1.0})"));
  EXPECT_TRUE(same(R"(["é"])", R"(["\u00e9"])"));
  EXPECT_FALSE(same(R"({"a":1})", R"({"a":1,"b":null})"));
  EXPECT_FALSE(same(R"([1,2])", R"([2,1])"));
  EXPECT_FALSE(same(R"("1")", "1"));
  EXPECT_FALSE(same("1", "1.5"));
  EXPECT_FALSE(same("true", "1"));
  EXPECT_TRUE(same("18446744073709551615", "18446744073709551615"));
  EXPECT_FALSE(same("-1", "18446744073709551615"));
}

TEST(ReplyMemoryTest, AMessageIsRestoredByIdAndMeaning) {
  ReplyMemory memory(1 << 20);
  memory.Remember("t", Reply());
  json::array messages = Messages(R"({"a": 2, "b": 1.0})");
  const auto restored = RestoreReplies(memory, "t", messages);
  ASSERT_EQ(restored.size(), 1U);
  EXPECT_EQ(restored[0].message, 1U);
  EXPECT_EQ(json::serialize(messages[1].at("tool_calls").at(0).at("function").at("arguments")),
            R"({"b":1,"a":2E0})");
  for (const json::array& other :
       {Messages(R"({"a": 3, "b": 1})"), Messages(R"({"a": 2, "b": 1})", "Let me look.")}) {
    json::array changed = other;
    EXPECT_TRUE(RestoreReplies(memory, "t", changed).empty());
  }
  json::array others = Messages(R"({"a": 2, "b": 1.0})");
  EXPECT_TRUE(RestoreReplies(memory, "another", others).empty());
}

TEST(ReplyMemoryTest, ThinkingThatTheClientLeftOutComesBack) {
  ReplyMemory memory(1 << 20);
  WrittenReply reply = Reply();
  reply.thinking = "Hm.";
  memory.Remember("t", reply);
  json::array messages = Messages(R"({"a": 2, "b": 1})");
  RestoreReplies(memory, "t", messages);
  EXPECT_EQ(messages[1].at("reasoning_content"), "Hm.");
  json::array with = Messages(R"({"a": 2, "b": 1})");
  with[1].as_object()["reasoning_content"] = "Other.";
  RestoreReplies(memory, "t", with);
  EXPECT_EQ(with[1].at("reasoning_content"), "Other.");
}

TEST(ReplyMemoryTest, TheOldestOfWhoeverHoldsMostGoFirst) {
  ReplyMemory memory(20'000);
  memory.Remember("few", Reply("call_few"));
  for (int i = 0; i < 200; ++i) memory.Remember("many", Reply("call_" + std::to_string(i)));
  EXPECT_NE(memory.Find("few", "call_few"), nullptr);
  EXPECT_EQ(memory.Find("many", "call_0"), nullptr);
  EXPECT_NE(memory.Find("many", "call_199"), nullptr);
}

TEST(ReplyMemoryTest, EveryFamilysTemplateShowsWhatWasWritten) {
  size_t as_written = 0;
  ForEachFamilysTemplate([&](const std::string&, const ServedModel& shared) {
    ServedModel model = shared;
    model.replies = std::make_shared<ReplyMemory>(1 << 20);
    model.replies->Remember("t", Reply());
    Conversation conversation;
    conversation.messages = {{{"role", "user"}, {"content", "u"}}};
    const auto begun =
        RenderTemplate(MakeTemplateContext(conversation, model, "t").variables, model);
    ASSERT_TRUE(begun.has_value());
    conversation.messages = Messages(R"({"a": 2, "b": 1})");
    const auto next =
        RenderTemplate(MakeTemplateContext(conversation, model, "t").variables, model);
    if (!model.template_traits.content_as_written) return;
    ++as_written;
    ASSERT_TRUE(next.has_value()) << next.error().message;
    EXPECT_TRUE(next->starts_with(*begun + kWritten)) << *next;
  });
  EXPECT_GE(as_written, 5U);  // others refuse a result without the calls before it
}

TEST(ReplyMemoryTest, TemplatesThatWantShortIdsGetThem) {
  const ServedModel model = TestModel(
      "{% for m in messages %}{% for c in m.tool_calls %}{% if c.id | length != 9 %}"
      "{{ raise_exception('id') }}{% endif %}[{{ c.id }}]{% endfor %}{{ m.content }}{% endfor %}");
  EXPECT_TRUE(model.template_traits.nine_letter_ids);
  Conversation conversation;
  conversation.messages = Messages(R"({"a": 2})");
  conversation.messages[1].at("tool_calls").at(0).as_object()["id"] = "call_0123456789abcdef";
  const auto rendered =
      RenderTemplate(MakeTemplateContext(conversation, model, "t").variables, model);
  EXPECT_TRUE(rendered.has_value());
}

}  // namespace
}  // namespace reprise

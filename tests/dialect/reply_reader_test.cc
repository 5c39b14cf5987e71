// What a reader makes of replies in every family's writing, whole and cut anywhere.

#include "dialect/reply_reader.h"

#include <gtest/gtest.h>

#include "base/sanitizers.h"
#include "written_calls.h"

namespace reprise {
namespace {

namespace json = boost::json;

std::vector<ToolFormat> AllFormats() {
  std::vector<ToolFormat> all;
  for (size_t i = 0; i < kToolFormats; ++i) all.push_back(static_cast<ToolFormat>(i));
  return all;
}

std::shared_ptr<const ToolSet> Weather() {
  return std::make_shared<ToolSet>(
      json::parse(R"([{"type": "function", "function": {"name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}},
        {"type": "function", "function": {"name": "now"}}])")
          .as_array());
}

ReplyReader::Options OptionsOf(ToolFormat format) {
  return {.dialect = {.tools = format}, .tools = Weather()};
}

class EveryFormat : public testing::TestWithParam<ToolFormat> {};

INSTANTIATE_TEST_SUITE_P(Formats, EveryFormat, testing::ValuesIn(AllFormats()),
                         [](const auto& tried) {
                           std::string name(NameOf(tried.param));
                           std::erase_if(name, [](char c) { return !isalnum(c); });
                           return name;
                         });

TEST_P(EveryFormat, CallsAreReadAsTheyWereWrittenWhereverTheReplyIsCut) {
  std::mt19937 random(7);
  for (int round = 0; round < (kAddressSanitizer ? 20 : 200); ++round) {
    SCOPED_TRACE(round);
    const json::array tools = RandomTools(random);
    const auto set = std::make_shared<ToolSet>(tools);
    const ReplyReader::Options options{.dialect = {.tools = GetParam()}, .tools = set};
    ReadReply wanted;
    wanted.calls = RandomCalls(random, tools);
    std::string reply = WriteCalls(GetParam(), wanted.calls, *set);
    if (TextMayComeFirst(GetParam()) && round % 2 == 0) {
      wanted.text = "Let me <b>look</b>: [x]";
      reply = wanted.text + "\n\n" + reply;
    }
    ASSERT_EQ(Read(options, reply).calls, wanted.calls) << reply;
    ASSERT_EQ(Read(options, reply), wanted) << reply;
    ASSERT_EQ(Read(options, reply, std::vector<size_t>(reply.size(), 1)), wanted) << reply;
    for (size_t at = 1; at < reply.size(); ++at) {
      ASSERT_EQ(Read(options, reply, {at}), wanted) << at << " of " << reply;
    }
  }
}

TEST_P(EveryFormat, WhatIsNoCallStaysTextByteForByte) {
  const auto options = OptionsOf(GetParam());
  std::string marks;
  for (const std::string_view mark : MarksOf(options.dialect)) {
    // The replies of gpt-oss are messages, of which these are no text.
    if (GetParam() != ToolFormat::kHarmony) marks += std::string(mark) + " and ";
  }
  for (const std::string& reply : {
           std::string("hello"),
           std::string("  \n a < b and c > d {not} [json]\n"),
           marks,
           std::string("<tool_call>{\"name\": \"unknown\", \"arguments\": {}}</tool_call>"),
           std::string("{\"name\": \"unknown\", \"parameters\": {}}"),
           std::string("[unknown(x=1)]"),
           std::string("<tool_call"),
       }) {
    const ReadReply read = Read(options, reply);
    EXPECT_EQ(read.text, reply);
    EXPECT_TRUE(read.calls.empty());
    EXPECT_EQ(Read(options, reply, std::vector<size_t>(reply.size(), 1)), read);
  }
}

TEST_P(EveryFormat, NothingIsLostOfACallThatBreaks) {
  const auto options = OptionsOf(GetParam());
  std::string reply = WriteCalls(GetParam(), {{"weather", {{"days", 3}}}}, *options.tools);
  const size_t three = reply.rfind('3');
  for (const std::string& wrong : {std::string("@@"), std::string("")}) {
    std::string broken = reply.substr(0, reply.find("<|call|>"));  // which no reply shows
    broken.replace(three, 1, wrong);
    if (wrong.empty()) broken.resize(three);
    const ReadReply read = Read(options, broken);
    if (GetParam() == ToolFormat::kQwenCoder && !wrong.empty()) continue;  // a text, there
    EXPECT_TRUE(read.valid);
    EXPECT_TRUE(read.calls.empty()) << broken;
    EXPECT_EQ(read.broken + read.text, broken);
    EXPECT_EQ(Read(options, broken, std::vector<size_t>(broken.size(), 1)), read);
  }
}

TEST_P(EveryFormat, EveryPrefixAndEveryChangedByteIsReadSafely) {
  std::mt19937 random(11);
  const auto options = OptionsOf(GetParam());
  const std::string reply = WriteCalls(
      GetParam(), {{"weather", {{"city", "Rome"}, {"days", 3}}}, {"now", {}}}, *options.tools);
  for (size_t at = 0; at < reply.size(); ++at) {
    EXPECT_TRUE(Read(options, reply.substr(0, at)).valid) << at;
    EXPECT_TRUE(Read(options, reply.substr(0, at), {}, /*cut=*/true).valid) << at;
    std::string changed = reply;
    changed[at] = static_cast<char>(random() % 128);
    const ReadReply read = Read(options, changed);
    EXPECT_TRUE(read.valid) << changed;
    EXPECT_EQ(Read(options, changed, std::vector<size_t>(changed.size(), 1)), read) << changed;
  }
}

TEST(ReplyReaderTest, ArgumentsComeWhileTheyAreWritten) {
  ReplyReader reader(OptionsOf(ToolFormat::kHermes));
  using Kind = ReplyPiece::Kind;
  EXPECT_TRUE(reader.Push("<tool_call>\n{\"name\": \"weather\"").size() == 1);
  EXPECT_EQ(reader.Push(", \"arguments\": {\"city\": \"Ro"),
            (std::vector<ReplyPiece>{{Kind::kArguments, "{\"city\": \"Ro"}}));
  EXPECT_EQ(reader.Push("me\"}"), (std::vector<ReplyPiece>{{Kind::kArguments, "me\"}"}}));
  EXPECT_EQ(reader.Push("}"), (std::vector<ReplyPiece>{{Kind::kCallEnd, ""}}));
  EXPECT_TRUE(reader.Push("\n</tool_call>").empty());
  EXPECT_TRUE(reader.Finish(false).empty());
}

TEST(ReplyReaderTest, ArgumentsThatTheJsonLibraryDoesNotReadAreNone) {
  const auto options = OptionsOf(ToolFormat::kHermes);
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  for (const std::string& value : {std::string(R"("\ud800")"), deep}) {
    const std::string reply =
        "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": " + value + "}}</tool_call>";
    const ReadReply read = Read(options, reply);
    EXPECT_TRUE(read.valid);
    EXPECT_TRUE(read.calls.empty()) << reply;
    EXPECT_EQ(read.broken + read.text, reply);
  }
}

TEST(ReplyReaderTest, TextIsNotHeldBack) {
  ReplyReader reader(OptionsOf(ToolFormat::kHermes));
  EXPECT_EQ(reader.Push("a <"), (std::vector<ReplyPiece>{{ReplyPiece::Kind::kText, "a"}}));
  EXPECT_EQ(reader.Push("b"), (std::vector<ReplyPiece>{{ReplyPiece::Kind::kText, " <b"}}));
}

TEST(ReplyReaderTest, ThinkingIsApart) {
  ReplyReader::Options options = OptionsOf(ToolFormat::kHermes);
  options.dialect.think_begin = "<think>";
  options.dialect.think_end = "</think>";
  const std::string call = "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>";
  ReadReply wanted{.text = "So.", .thinking = "Hm < 3,\n\nyes", .calls = {{"now", {}}}};
  const std::string reply = "<think>\nHm < 3,\n\nyes\n</think>\n\nSo.\n" + call;
  EXPECT_EQ(Read(options, reply), wanted);
  EXPECT_EQ(Read(options, reply, std::vector<size_t>(reply.size(), 1)), wanted);
  options.in_thinking = true;
  EXPECT_EQ(Read(options, reply.substr(7)), wanted);
  // Without its end all is thinking.
  EXPECT_EQ(Read(options, "still at it"), (ReadReply{.thinking = "still at it"}));
  options.in_thinking = false;
  EXPECT_EQ(Read(options, "a <think>b</think>"), (ReadReply{.text = "a <think>b</think>"}));
}

TEST(ReplyReaderTest, HarmonysChannelsAreToldApart) {
  const auto options = OptionsOf(ToolFormat::kHarmony);
  const std::string reply =
      "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant<|channel|>commentary "
      "to=functions.weather <|constrain|>json<|message|>{\"city\":\"Rome\"}<|call|>";
  const ReadReply wanted{.thinking = "Let me see.", .calls = {{"weather", {{"city", "Rome"}}}}};
  EXPECT_EQ(Read(options, reply), wanted);
  EXPECT_EQ(Read(options, reply, std::vector<size_t>(reply.size(), 1)), wanted);
  EXPECT_EQ(Read(options,
                 "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final"
                 "<|message|>Hello <b>"),
            (ReadReply{.text = "Hello <b>", .thinking = "a"}));
}

TEST(ReplyReaderTest, ArgumentsMayComeBeforeTheNameOrAsAString) {
  const auto options = OptionsOf(ToolFormat::kHermes);
  const std::vector<WrittenCall> wanted = {{"weather", {{"days", 2}}}};
  EXPECT_EQ(Read(options, R"(<tool_call>{"arguments": {"days": 2}, "name": "weather"}</tool_call>)")
                .calls,
            wanted);
  EXPECT_EQ(
      Read(options, R"(<tool_call>{"name": "weather", "arguments": "{\"days\": 2}"}</tool_call>)")
          .calls,
      wanted);
  EXPECT_EQ(Read(options, R"(<tool_call>{"name": "now"}</tool_call>)").calls,
            (std::vector<WrittenCall>{{"now", {}}}));
}

TEST(ReplyReaderTest, ADialectIsKnownByItsTemplate) {
  EXPECT_EQ(DialectOf("… <tool_call> … </think>", true),
            (Dialect{ToolFormat::kHermes, "<think>", "</think>"}));
  EXPECT_EQ(DialectOf("<tool_call>\n<function=f>", true).tools, ToolFormat::kQwenCoder);
  EXPECT_EQ(DialectOf("[TOOL_CALLS]", true).tools, ToolFormat::kMistral);
  EXPECT_EQ(DialectOf("[TOOL_CALLS]f[ARGS]", true).tools, ToolFormat::kMistralNamed);
  EXPECT_EQ(DialectOf("<｜tool▁calls▁begin｜> ```json", true).tools, ToolFormat::kDeepSeekFenced);
  EXPECT_EQ(DialectOf("<|channel|>", true).tools, ToolFormat::kHarmony);
  // Tools that the template does not show are described in the generic form.
  EXPECT_EQ(DialectOf("[TOOL_CALLS]", false).tools, ToolFormat::kHermes);
  for (size_t i = 0; i < kToolFormats; ++i) {
    const auto format = static_cast<ToolFormat>(i);
    EXPECT_EQ(ToolFormatOf(NameOf(format)), format);
  }
  EXPECT_FALSE(ToolFormatOf("none").has_value());
}

}  // namespace
}  // namespace reprise

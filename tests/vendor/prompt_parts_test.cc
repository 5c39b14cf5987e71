// Which tokens of a prompt are which part of the client's request.

#include "prompt/prompt_parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <ctime>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "fixtures/family_templates.h"
#include "fixtures/test_model.h"
#include "vendor/anthropic/endpoints.h"
#include "vendor/openai/endpoints.h"

namespace reprise {
namespace {

namespace json = boost::json;
using Kind = PartName::Kind;

// The texts of the parts that were found, by name, as they stand in the prompt.
using Found = std::map<std::string, std::string>;
Found FoundIn(const Call& call, const ServedModel& model) {
  const std::string text = model.tokenizer->Decode(call.prompts.at(0), true);
  Found found;
  size_t end = 0;
  for (const PartSpan& part_span : call.part_spans.at(0)) {
    EXPECT_GE(part_span.text_begin, end) << "ascending and disjoint";
    end = part_span.text_end;
    EXPECT_LE(end, text.size());
    found[ToText(part_span.name)] = text.substr(part_span.text_begin, end - part_span.text_begin);
  }
  return found;
}

Call Messages(const json::object& body, const ServedModel& model) {
  json::object whole = {{"max_tokens", 8}};
  for (const auto& [key, value] : body) whole[key] = value;
  Result<Call> call = kMessages.read(json::serialize(whole), {}, model);
  EXPECT_TRUE(call) << call.error().message;
  return std::move(call).value();
}

Call Chat(const json::object& body, const ServedModel& model) {
  Result<Call> call = kChatCompletions.read(json::serialize(body), {}, model);
  EXPECT_TRUE(call) << call.error().message;
  return std::move(call).value();
}

json::object Said(const char* role, json::value content) {
  return {{"role", role}, {"content", std::move(content)}};
}

json::object Tool(const char* name) {
  return {{"name", name},
          {"description", "Looks things up, \"quoted\" \u00e9."},
          {"input_schema", {{"type", "object"}, {"properties", {{"q", {{"type", "string"}}}}}}}};
}

const json::array kTalk = {
    Said("user", "What is the first question?"), Said("assistant", " Here is\n\nan answer. "),
    Said("user", "And the second question?\n"), Said("assistant", "Yes."), Said("user", "Yes.")};

TEST(PromptPartsTest, EveryTextIsFoundUnderEveryFamilysTemplate) {
  ForEachFamilysTemplate([](const std::string& family, const ServedModel& model) {
    for (const bool tools : {false, true}) {
      json::object body = {{"system", "You answer questions, and no others."}, {"messages", kTalk}};
      if (tools) body["tools"] = json::array{Tool("alpha"), Tool("beta")};
      Found found = FoundIn(Messages(body, model), model);
      EXPECT_EQ(found["system"], "You answer questions, and no others.");
      EXPECT_EQ(found["messages[0]"], "What is the first question?");
      // This one writes line breaks otherwise, and tools as signatures without their JSON: what is
      // not found belongs to what follows.
      const bool verbatim = family != "command";
      EXPECT_EQ(found["messages[1]"], verbatim ? "Here is\n\nan answer." : "");
      EXPECT_EQ(found["messages[2]"], "And the second question?");
      EXPECT_EQ(found["messages[3]"], "Yes.");
      EXPECT_EQ(found["messages[4]"], "Yes.");
      for (const char* name : {"alpha", "beta"}) {
        const std::string part = name == std::string("alpha") ? "tools[0]" : "tools[1]";
        EXPECT_EQ(found.contains(part), tools && verbatim);
        EXPECT_EQ(found[part].find(name) != std::string::npos, tools && verbatim) << found[part];
      }
    }
  });
}

TEST(PromptPartsTest, APartHasTheRoleThatItsClientGaveIt) {
  const ServedModel model = TestModel();
  const auto roles = [](const Call& call) {
    std::vector<PartRole> found;
    for (const PartSpan& span : call.part_spans.at(0)) found.push_back(span.role);
    return found;
  };
  const std::vector<PartRole> all = {PartRole::kSystem, PartRole::kUser, PartRole::kAssistant,
                                     PartRole::kTool};
  json::object result = Said("tool", "It rains.");
  result["tool_call_id"] = "call_1";
  EXPECT_EQ(roles(Chat({{"messages",
                         {Said("developer", "Be brief."), Said("user", "How is it?"),
                          Said("assistant", "I look."), std::move(result)}}},
                       model)),
            all);
  const json::array use = {
      {{"type", "text"}, {"text", "I look."}},
      {{"type", "tool_use"}, {"id", "t"}, {"name", "f"}, {"input", json::object()}}};
  const json::array answer = {
      {{"type", "tool_result"}, {"tool_use_id", "t"}, {"content", "It rains."}}};
  EXPECT_EQ(
      roles(Messages({{"system", "Be brief."},
                      {"messages",
                       {Said("user", "How is it?"), Said("assistant", use), Said("user", answer)}}},
                     model)),
      all);
}

TEST(PromptPartsTest, AToolIsFoundHoweverItsJsonIsWritten) {
  for (const char* form : {"tojson", "tojson(indent=4)"}) {
    const std::string source =
        std::string("{% for t in tools %}#{{ t.function | ") + form +
        " }}{% endfor %}{% for m in messages %}[{{ m.content }}]{% endfor %}";
    const ServedModel model = TestModel(source.c_str());
    Found found = FoundIn(
        Messages({{"tools", {Tool("alpha"), Tool("beta")}}, {"messages", {Said("user", "Hi.")}}},
                 model),
        model);
    for (const char* part : {"tools[0]", "tools[1]"}) {
      EXPECT_TRUE(found[part].starts_with("{") && found[part].ends_with("}")) << found[part];
    }
    EXPECT_NE(found["tools[1]"].find("beta"), std::string::npos);
    EXPECT_EQ(found["messages[0]"], "Hi.");
  }
}

TEST(PromptPartsTest, MessagesKeepTheNumbersThatTheClientGaveThem) {
  const ServedModel model = TestModel();
  const json::array content = {
      {{"type", "text"}, {"text", "Before it."}},
      {{"type", "tool_result"}, {"tool_use_id", "c1"}, {"content", "result of it"}},
      {{"type", "text"}, {"text", "Behind it."}}};
  const json::array call = {
      {{"type", "tool_use"}, {"id", "c1"}, {"name", "lookup"}, {"input", {{"q", "x"}}}}};
  Found found = FoundIn(Messages({{"messages",
                                   {Said("user", "Ask."), Said("user", "Again."),
                                    Said("assistant", call), Said("user", content)}}},
                                 model),
                        model);
  EXPECT_EQ(found["messages[0]"], "Ask.") << "though the two become one";
  EXPECT_EQ(found["messages[1]"], "Again.");
  EXPECT_NE(found["messages[2]"].find("lookup"), std::string::npos);
  EXPECT_TRUE(found["messages[3]"].starts_with("Before it.")) << found["messages[3]"];
  EXPECT_TRUE(found["messages[3]"].ends_with("Behind it.")) << found["messages[3]"];

  found = FoundIn(Chat({{"messages", {Said("system", "Be brief."), Said("user", "Ask.")}}}, model),
                  model);
  EXPECT_EQ(found, (Found{{"messages[0]", "Be brief."}, {"messages[1]", "Ask."}}));
}

TEST(PromptPartsTest, AShortTextIsNotFoundInsideOfWordsOrControlTokens) {
  const ServedModel model = TestModel();
  const Call call = Messages(
      {{"messages", {Said("user", "e"), Said("assistant", "ant"), Said("user", "start")}}}, model);
  EXPECT_EQ(FoundIn(call, model),
            (Found{{"messages[0]", "e"}, {"messages[1]", "ant"}, {"messages[2]", "start"}}));
  const std::string text = model.tokenizer->Decode(call.prompts[0], true);
  for (const PartSpan& part_span : call.part_spans[0]) {
    EXPECT_EQ(text[part_span.text_begin - 1], '\n');
    EXPECT_EQ(text[part_span.text_end], '<');
  }
}

TEST(PromptPartsTest, TextThatSpellsAControlTokenIsFoundAsText) {
  const ServedModel model = TestModel();
  Found found =
      FoundIn(Messages({{"messages", {Said("user", "So <|im_end|> it is")}}}, model), model);
  EXPECT_EQ(found["messages[0]"], "So <|im_end|> it is");
}

TEST(PromptPartsTest, APartThatTheTemplateHidesHasNoLandmark) {
  const ServedModel model = TestModel(
      "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]{% endif %}{% endfor %}");
  EXPECT_EQ(FoundIn(Messages({{"messages", kTalk}}, model), model).size(), 3U);
}

TEST(PromptPartsTest, PartsThatAreNotThereCostBoundedTime) {
  const ServedModel model = TestModel();
  const std::vector<TokenId> prompt =
      model.tokenizer->Encode(std::string(100'000, 'x'), EncodeOptions{});
  // Processor time of looking for so many parts.
  const auto cost_of = [&](uint32_t count) {
    std::vector<PromptPart> parts;
    for (uint32_t i = 0; i < count; ++i) {
      parts.push_back({{Kind::kMessage, i}, {{{"xxxxx this text is not there"}}}});
    }
    std::clock_t least = std::numeric_limits<std::clock_t>::max();
    for (int attempt = 0; attempt < 3; ++attempt) {
      const std::clock_t begin = std::clock();
      EXPECT_TRUE(LocateParts(prompt, parts, *model.tokenizer).empty());
      least = std::min(least, std::clock() - begin);
    }
    return static_cast<double>(least);
  };
  EXPECT_LT(cost_of(20'000), 50 * cost_of(20)) << "a thousand times as many";
}

TEST(PromptPartsTest, NothingIsLocatedWithoutHistory) {
  ServedModel model = TestModel();
  model.policy.history = 0;
  EXPECT_TRUE(Messages({{"messages", kTalk}}, model).part_spans.empty());
}

TEST(PromptPartsTest, APlaceBelongsToThePartWhoseTextHasNotEndedYet) {
  const std::vector<PartSpan> part_spans = {{{Kind::kSystem, 0}, 10, 20},
                                            {{Kind::kMessage, 0}, 25, 30}};
  const auto place = [&](size_t at) {
    const PartPlace found = PlaceOf(part_spans, at);
    return std::pair(ToText(found.name), found.offset_bytes);
  };
  EXPECT_EQ(place(0), std::pair(std::string("system"), size_t{0})) << "the template's words";
  EXPECT_EQ(place(10), std::pair(std::string("system"), size_t{0}));
  EXPECT_EQ(place(19), std::pair(std::string("system"), size_t{9}));
  EXPECT_EQ(place(20), std::pair(std::string("messages[0]"), size_t{0}));
  EXPECT_EQ(place(29), std::pair(std::string("messages[0]"), size_t{4}));
  EXPECT_EQ(place(30), std::pair(std::string("end"), size_t{0}));
  EXPECT_EQ(ToText(PlaceOf({}, 7).name), "prompt");
}

// -- Fingerprints ---------------------------------------------------------------------------------

RequestFingerprint PrintOf(const json::object& body) {
  return Messages(body, TestModel()).fingerprint;
}

TEST(FingerprintTest, WhatRendersEquallyIsEqual) {
  const json::object plain = {{"system", "Be brief."}, {"messages", {Said("user", "One\n\nTwo")}}};
  const json::object mark = {{"type", "ephemeral"}};
  const json::object blocks = {
      {"system", {{{"type", "text"}, {"text", "Be brief."}, {"cache_control", mark}}}},
      {"messages",
       {Said("user", {{{"type", "text"}, {"text", "One"}},
                      {{"type", "text"}, {"text", "Two"}, {"cache_control", mark}}})}}};
  EXPECT_EQ(PrintOf(plain), PrintOf(blocks));
}

TEST(FingerprintTest, EachPartHasItsOwn) {
  const json::object base = {
      {"tools", {Tool("a"), Tool("b")}}, {"system", "S."}, {"messages", kTalk}};
  const RequestFingerprint first = PrintOf(base);
  EXPECT_EQ(first.messages.size(), 5U);
  const auto with = [&](const char* key, json::value value) {
    json::object changed = base;
    changed[key] = std::move(value);
    return PrintOf(changed);
  };
  RequestFingerprint other = with("tools", {Tool("b"), Tool("a")});
  EXPECT_NE(other.tools, first.tools) << "reordered";
  EXPECT_EQ(other.system, first.system);
  EXPECT_EQ(other.messages, first.messages);
  other = with("system", "T.");
  EXPECT_EQ(other.tools, first.tools);
  EXPECT_NE(other.system, first.system);
  json::array talk = kTalk;
  talk[2].as_object()["content"] = "Something else.";
  other = with("messages", talk);
  EXPECT_EQ(other.messages[1], first.messages[1]);
  EXPECT_NE(other.messages[2], first.messages[2]);
  talk = kTalk;
  talk[4].as_object()["role"] = "assistant";
  EXPECT_NE(with("messages", talk).messages[4], first.messages[4]) << "another says the same";
}

}  // namespace
}  // namespace reprise

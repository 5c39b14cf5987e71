#include "router/text_prefixes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <string>
#include <vector>

#include "router/sse_reader.h"
#include "router/stored_responses.h"
#include "vendor/anthropic/endpoints.h"
#include "vendor/openai/endpoints.h"
#include "vendor/responses/endpoints.h"

namespace reprise {
namespace {

using Chain = std::vector<BlockName>;

Chain ChainOfText(const WireEndpoint& endpoint, const std::string& body,
                  const std::string& tenant = "") {
  const auto prompt = ReadTextPrompt(endpoint, body, tenant);
  EXPECT_TRUE(prompt) << body;
  return prompt ? prompt->chains.at(0).names : Chain();
}

size_t Common(const Chain& a, const Chain& b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

std::string Words(char letter, size_t bytes = 2048) { return std::string(bytes, letter); }

TEST(TextPromptTest, LaterTurnsBeginLikeEarlierOnes) {
  const std::string first = fmt::format(R"({{"messages":[{{"role":"system","content":"{}"}},
    {{"role":"user","content":"{}"}}]}})",
                                        Words('s'), Words('u'));
  const std::string later = fmt::format(R"({{"stream":true,"messages":[
    {{"role":"system","content":"{}"}},{{"role":"user","content":"{}"}},
    {{"role":"assistant","content":"{}"}},{{"role":"user","content":"x"}}],"temperature":0}})",
                                        Words('s'), Words('u'), Words('a'));
  const Chain one = ChainOfText(kChatCompletions, first);
  const Chain two = ChainOfText(kChatCompletions, later);
  EXPECT_EQ(one.size(), 16U);
  EXPECT_EQ(two.size(), 24U);
  EXPECT_EQ(Common(one, two), 16U);
}

TEST(TextPromptTest, TextInPartsAndMovingMarksChangeNothing) {
  const std::string plain = fmt::format(
      R"({{"system":"{}","messages":[{{"role":"user","content":"{}"}}],"tools":[{{"name":"t"}}]}})",
      Words('s'), Words('u'));
  const std::string marked = fmt::format(
      R"({{"tools":[{{"name":"t","cache_control":{{"type":"ephemeral"}}}}],
      "messages":[{{"role":"user","content":[{{"type":"text","text":"{}",
      "cache_control":{{"type":"ephemeral"}}}}]}}],"system":[{{"type":"text","text":"{}",
      "cache_control":{{"type":"ephemeral"}}}}]}})",
      Words('u'), Words('s'));
  EXPECT_EQ(ChainOfText(kMessages, plain), ChainOfText(kMessages, marked));
}

TEST(TextPromptTest, ToolsSystemTextTenantAndModelTellPromptsApart) {
  const auto body = [](std::string_view more, char system) {
    return fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}],"system":"{}"{}}})",
                       Words('u'), Words(system), more);
  };
  const Chain plain = ChainOfText(kMessages, body("", 's'));
  EXPECT_EQ(Common(plain, ChainOfText(kMessages, body("", 't'))), 0U);
  EXPECT_EQ(Common(plain, ChainOfText(kMessages, body(R"(,"tools":[{"name":"x"}])", 's'))), 0U);
  EXPECT_EQ(Common(plain, ChainOfText(kMessages, body(R"(,"model":"m")", 's'))), 0U);
  EXPECT_EQ(Common(plain, ChainOfText(kMessages, body("", 's'), "tenant")), 0U);
}

TEST(TextPromptTest, AllEndpointsAreRead) {
  EXPECT_EQ(ChainOfText(kTextCompletions, fmt::format(R"({{"prompt":"{}"}})", Words('p'))).size(),
            8U);
  EXPECT_EQ(
      ChainOfText(kResponses, fmt::format(R"({{"instructions":"i","input":"{}"}})", Words('p')))
          .size(),
      8U);
  EXPECT_EQ(ReadTextPrompt(kResponses, R"({"input":"x","previous_response_id":"resp_1"})", "")
                ->previous_response,
            "resp_1");
  EXPECT_FALSE(ReadTextPrompt(kMessages, "[]", ""));
  EXPECT_EQ(ReadTextPrompt(kMessages, R"({"messages":7})", "")->chains.at(0).names.size(), 0U);
}

class TextPrefixesTest : public ::testing::Test {
 protected:
  size_t Held(const Chain& chain, size_t replica = 0) const {
    std::vector<Reach> reach(2);
    holdings_.Find(chain, reach);
    return reach[replica].memory_blocks;
  }
  static Chain Numbers(BlockName first, size_t count) {
    Chain chain(count);
    for (size_t i = 0; i < count; ++i) chain[i] = first + i;
    return chain;
  }

  Holdings holdings_{100'000};
  TextPrefixes texts_{holdings_, 100};
};

TEST_F(TextPrefixesTest, WhoAnsweredHoldsThePrompt) {
  const Chain chain = Numbers(1, 10);
  texts_.NoteAnswered(1, chain);
  EXPECT_EQ(Held(chain, 1), 10U);
  EXPECT_EQ(Held(chain, 0), 0U);
  texts_.Forget(1);
  EXPECT_EQ(Held(chain, 1), 0U);
}

TEST_F(TextPrefixesTest, BeyondTheBoundTheLeastRecentlyUsedIsForgotten) {
  const Chain first = Numbers(1000, 40), second = Numbers(2000, 40), third = Numbers(3000, 40);
  texts_.NoteAnswered(0, first);
  texts_.NoteAnswered(0, second);
  texts_.NoteAnswered(0, first);
  texts_.NoteAnswered(0, third);
  EXPECT_EQ(Held(first), 40U);
  EXPECT_EQ(Held(second), 20U) << "the ends of prompts go first";
  EXPECT_EQ(Held(third), 40U);
}

TEST_F(TextPrefixesTest, ALowerUsageSaysThatWhatWasUsedNoLaterIsGone) {
  const Chain oldest = Numbers(1000, 20), old = Numbers(2000, 20), recent = Numbers(3000, 20);
  texts_.NoteAnswered(0, oldest);
  texts_.NoteAnswered(0, old);
  texts_.NoteAnswered(0, recent);
  // The second comes again, and the engine has to compute all of it.
  texts_.NoteAnswered(0, old);
  texts_.NoteUsage(0, old, 20, {.prompt_tokens = 1000, .cached_tokens = 0});
  EXPECT_EQ(Held(oldest), 0U) << "used before what is gone";
  EXPECT_EQ(Held(old), 20U) << "it has been computed again";
  EXPECT_EQ(Held(recent), 20U);
}

TEST_F(TextPrefixesTest, AUsageAsExpectedOrNoneChangesNothing) {
  const Chain oldest = Numbers(1000, 20), old = Numbers(2000, 20);
  texts_.NoteAnswered(0, oldest);
  texts_.NoteAnswered(0, old);
  texts_.NoteAnswered(0, old);
  texts_.NoteUsage(0, old, 20, {.prompt_tokens = 1000, .cached_tokens = 960});
  texts_.NoteUsage(0, old, 20, {.prompt_tokens = 1000, .cached_tokens = std::nullopt});
  texts_.NoteUsage(0, old, 0, {.prompt_tokens = 1000, .cached_tokens = 0});
  texts_.NoteUsage(0, {}, 20, {.prompt_tokens = 0, .cached_tokens = 0});
  EXPECT_EQ(Held(oldest), 20U);
  EXPECT_EQ(Held(old), 20U);
}

// An engine that keeps so many pieces, the least recently used going first, ends first.
class PlayedEngine {
 public:
  size_t Answer(const Chain& chain, size_t room) {
    size_t read = 0;
    while (read < chain.size() && std::ranges::find(held_, chain[read]) != held_.end()) ++read;
    for (size_t i = chain.size(); i-- > 0;) {
      std::erase(held_, chain[i]);
      held_.push_back(chain[i]);
    }
    while (held_.size() > room) held_.pop_front();
    return read;
  }

 private:
  std::list<BlockName> held_;
};

TEST_F(TextPrefixesTest, WhatIsGuessedComesNearToAnEngineOfUnknownSize) {
  std::mt19937 random(7);
  TextPrefixes texts(holdings_, 50'000);
  PlayedEngine engine;
  size_t guessed = 0, read = 0;
  for (int turn = 0; turn < 3000; ++turn) {
    const Chain chain = Numbers(1000 * (1 + random() % 40), 20);
    const size_t expected = Held(chain);
    const size_t seen = engine.Answer(chain, 400);
    texts.NoteAnswered(0, chain);
    texts.NoteUsage(0, chain, expected, {.prompt_tokens = 2000, .cached_tokens = 100 * seen});
    guessed += expected;
    read += seen;
  }
  EXPECT_GT(read, 20'000U);
  // Without the usage all would be expected to be there: 60'000.
  EXPECT_LT(guessed, read * 3 / 2);
  EXPECT_GT(guessed, read / 2);
}

TEST(StoredResponsesTest, AResponseIsWhereItWasStoredUntilItsReplicaIsGone) {
  StoredResponses responses;
  responses.Note("resp_1", 3);
  responses.Note("resp_2", 4);
  responses.Note("resp_1", 5);
  EXPECT_EQ(responses.Find("resp_1"), 5U);
  EXPECT_EQ(responses.Find("resp_3"), std::nullopt);
  responses.Forget(5);
  EXPECT_EQ(responses.Find("resp_1"), std::nullopt);
  EXPECT_EQ(responses.Find("resp_2"), 4U);
  for (size_t i = 0; i < limits::kMaxRoutedResponses; ++i) responses.Note(fmt::format("r{}", i), 1);
  EXPECT_EQ(responses.Find("resp_2"), std::nullopt) << "the oldest goes first";
  EXPECT_EQ(responses.Find("r0"), 1U);
}

TEST(SseReaderTest, EventsAreTheSameHoweverTheirBytesCome) {
  const std::string stream =
      ": a comment\n\nevent: hello\ndata: {\"a\":1}\n\ndata:bare\n\nevent: x\r\ndata: 2\n\n";
  for (size_t size = 1; size <= stream.size(); ++size) {
    SseReader reader;
    std::string seen;
    for (size_t at = 0; at < stream.size(); at += size) {
      EXPECT_TRUE(reader.Put(stream.substr(at, size), [&](auto name, auto data) {
        seen += fmt::format("{}={};", name, data);
      }));
    }
    EXPECT_EQ(seen, "hello={\"a\":1};=bare;x=2;") << size;
  }
}

TEST(SseReaderTest, AnEventWithoutAnEndIsRefused) {
  SseReader reader;
  const std::string bytes(8u << 20, 'x');
  bool fits = true;
  for (size_t sent = 0; fits && sent <= limits::kMaxFleetEventBytes; sent += bytes.size()) {
    fits = reader.Put(bytes, [](auto, auto) {});
  }
  EXPECT_FALSE(fits);
}

}  // namespace
}  // namespace reprise

// Vendors' rules played: every number is reckoned by hand from what the vendors publish.

#include "costs/mark_player.h"

#include <gtest/gtest.h>

#include <vector>

#include "sent_prompts.h"

namespace reprise {
namespace {

using Kind = PartName::Kind;
using std::chrono::minutes;
using std::chrono::seconds;

PromptTokens PlaySent(std::vector<SentPrompt> prompts, const CacheRules& rules) {
  return PlayMarks(TrafficOf(std::move(prompts)), rules,
                   [&](const TrafficPrompt& prompt) { return SentMarks(prompt, rules); });
}

// A text of so many tokens with a mark behind it, and a question of 100.
SentPrompt Asked(int64_t time_ms, size_t text, int question, Duration ttl = minutes(5)) {
  return Sent(time_ms, {{Kind::kSystem, text, 1}, {Kind::kMessage, 100, question}}, {{text, ttl}});
}

TEST(MarkPlayer, ReadsWhatAMarkWroteFromTheMinimumOn) {
  const CacheRules& rules = UsualSheet().rules;
  const PromptTokens enough = PlaySent({Asked(0, 1024, 2), Asked(1000, 1024, 3)}, rules);
  EXPECT_EQ(enough, (PromptTokens{.total = 2 * 1124, .read = 1024, .written = {1024, 0}}));
  const PromptTokens one_less = PlaySent({Asked(0, 1023, 2), Asked(1000, 1023, 3)}, rules);
  EXPECT_EQ(one_less, (PromptTokens{.total = 2 * 1123, .read = 0, .written = {0, 0}}));
}

TEST(MarkPlayer, AnEntryIsGoneWhenItsLifetimeIsOver) {
  const CacheRules& rules = UsualSheet().rules;
  EXPECT_EQ(PlaySent({Asked(0, 2000, 2), Asked(299'999, 2000, 3)}, rules).read, 2000u);
  const PromptTokens late = PlaySent({Asked(0, 2000, 2), Asked(300'000, 2000, 3)}, rules);
  EXPECT_EQ(late, (PromptTokens{.total = 4200, .read = 0, .written = {4000, 0}}));
}

TEST(MarkPlayer, AHitRenewsTheLifetimeWhereTheRulesSaySo) {
  CacheRules rules = UsualSheet().rules;
  const std::vector<SentPrompt> prompts = {Asked(0, 2000, 2), Asked(200'000, 2000, 3),
                                           Asked(400'000, 2000, 4)};
  EXPECT_EQ(PlaySent(prompts, rules).read, 4000u);
  rules.renews = false;
  EXPECT_EQ(PlaySent(prompts, rules),
            (PromptTokens{.total = 6300, .read = 2000, .written = {4000, 0}}));
}

TEST(MarkPlayer, LooksBackOverTwentyBlocksItsOwnIncluded) {
  const auto read = [](size_t further) {
    std::vector<SentPart> parts = {{Kind::kSystem, 2000, 1}};
    const SentPrompt first = Sent(0, parts, {{2000, minutes(5)}});
    for (size_t i = 0; i < further; ++i) {
      parts.push_back({Kind::kMessage, 10, static_cast<int>(i) + 2});
    }
    return PlaySent({first, Sent(1, parts, {{2000 + 10 * further, minutes(5)}})},
                    UsualSheet().rules)
        .read;
  };
  EXPECT_EQ(read(19), 2000u);
  EXPECT_EQ(read(20), 0u);
}

TEST(MarkPlayer, FindsNothingWhereNoMarkStood) {
  // Both share 2,000 tokens, but the first marked 2,100 of its own.
  const auto prompt = [](int64_t time_ms, int question) {
    return Sent(time_ms, {{Kind::kSystem, 2000, 1}, {Kind::kMessage, 100, question}},
                {{2100, minutes(5)}});
  };
  EXPECT_EQ(PlaySent({prompt(0, 2), prompt(1, 3)}, UsualSheet().rules),
            (PromptTokens{.total = 4200, .read = 0, .written = {4200, 0}}));
}

TEST(MarkPlayer, AnHoursMarkIsWrittenUpToItAndFiveMinutesBehind) {
  const auto prompt = [](int64_t time_ms) {
    return Sent(time_ms,
                {{Kind::kSystem, 2000, 1}, {Kind::kMessage, 1000, 2}, {Kind::kMessage, 100, 3}},
                {{2000, minutes(60)}, {3000, minutes(5)}});
  };
  const PriceSheet& sheet = UsualSheet();
  const PromptTokens once = PlaySent({prompt(0)}, sheet.rules);
  EXPECT_EQ(once.written[k1h], 2000u);
  EXPECT_EQ(once.written[k5m], 1000u);
  EXPECT_EQ(once.plain(), 100u);
  EXPECT_DOUBLE_EQ(CostOf(once, sheet), (2000 * 2 + 1000 * 1.25 + 100) / 1e6);
  // After ten minutes only the hour's is there, after one both are.
  EXPECT_EQ(PlaySent({prompt(0), prompt(600'000)}, sheet.rules),
            (PromptTokens{.total = 6200, .read = 2000, .written = {2000, 2000}}));
  EXPECT_EQ(PlaySent({prompt(0), prompt(60'000)}, sheet.rules).read, 3000u);
}

TEST(MarkPlayer, SentLifetimesBecomeTheShortestThatLastsAsLong) {
  const auto lifetime = [](Duration ttl, const CacheRules& rules) {
    const Traffic traffic = TrafficOf({Asked(0, 2000, 2, ttl)});
    return SentMarks(traffic.prompts[0], rules)[0].lifetime;
  };
  const CacheRules& rules = UsualSheet().rules;
  EXPECT_EQ(lifetime(seconds(1), rules), k5m);
  EXPECT_EQ(lifetime(minutes(5), rules), k5m);
  EXPECT_EQ(lifetime(minutes(30), rules), k1h);
  EXPECT_EQ(lifetime(minutes(24 * 60), rules), k1h);
}

TEST(MarkPlayer, TheMarkThatAVendorSetsByItselfIsOneOfItsFour) {
  std::vector<SentPart> parts;
  std::vector<Breakpoint> marks;
  for (int i = 0; i < 5; ++i) {
    parts.push_back({Kind::kMessage, 1000, i});
    if (i < 4) marks.push_back({static_cast<size_t>(i + 1) * 1000, minutes(30)});
  }
  const Traffic traffic = TrafficOf({Sent(0, parts, marks)});
  std::vector<size_t> at;
  for (const PlayedMark& mark :
       SentMarks(traffic.prompts[0], FindSheet("OpenAI GPT-6 Sol")->rules)) {
    at.push_back(traffic.prompts[0].places[mark.place].tokens);
  }
  EXPECT_EQ(at, (std::vector<size_t>{2000, 3000, 4000, 5000}));
}

SentPrompt Shared(int64_t time_ms, size_t shared, int rest) {
  return Sent(time_ms, {{Kind::kMessage, shared, 1}, {Kind::kMessage, 200, rest}});
}

TEST(AutomaticCaching, CountsInStepsOf128FromTheMinimumOn) {
  const auto read = [](size_t shared) {
    const Traffic traffic = TrafficOf({Shared(0, shared, 2), Shared(1, shared, 3)});
    return PlayAutomatic(traffic, StepSheet().rules).read;
  };
  EXPECT_EQ(read(1023), 0u);
  EXPECT_EQ(read(1024), 1024u);
  EXPECT_EQ(read(1151), 1024u);
  EXPECT_EQ(read(1152), 1152u);
}

TEST(AutomaticCaching, APromptUnderTheMinimumIsNotKept) {
  // 1,023 tokens at first; then a prompt that begins with them.
  const Traffic traffic = TrafficOf(
      {Shared(0, 823, 2),
       Sent(1, {{Kind::kMessage, 823, 1}, {Kind::kMessage, 200, 2}, {Kind::kMessage, 200, 3}})});
  EXPECT_EQ(PlayAutomatic(traffic, {.minimum = 64, .step = 64, .lifetime_seconds = 300}).read,
            1023u / 64 * 64);
  EXPECT_EQ(PlayAutomatic(traffic, StepSheet().rules).read, 0u);
}

TEST(AutomaticCaching, EachUseOfAPrefixRenewsWhatItUsesAndNoMore) {
  const auto read = [](int64_t last_ms) {
    // A, then its first 1,024 tokens, then A again.
    const std::vector<SentPart> a = {{Kind::kMessage, 1024, 1}, {Kind::kMessage, 1024, 2}};
    const Traffic traffic =
        TrafficOf({Sent(0, a), Sent(200'000, {{Kind::kMessage, 1024, 1}}), Sent(last_ms, a)});
    return PlayAutomatic(traffic, StepSheet().rules).read - 1024;  // the second's
  };
  EXPECT_EQ(read(299'999), 2048u);
  EXPECT_EQ(read(300'000), 1024u);
  EXPECT_EQ(read(499'999), 1024u);
  EXPECT_EQ(read(500'000), 0u);
}

TEST(AutomaticCaching, AMarkAtTheEndMovesAlongWithAConversation) {
  std::vector<SentPart> parts = {{Kind::kMessage, 2000, 1}};
  std::vector<SentPrompt> turns = {Sent(0, parts)};
  for (int turn = 1; turn < 3; ++turn) {
    parts.push_back({Kind::kMessage, 50, 2 * turn});
    parts.push_back({Kind::kMessage, 70, 2 * turn + 1});
    turns.push_back(Sent(turn * 1000, parts));
  }
  EXPECT_EQ(PlayAutomatic(TrafficOf(turns), FindSheet("OpenAI GPT-6 Sol")->rules),
            (PromptTokens{.total = 2000 + 2120 + 2240, .read = 2000 + 2120, .written = {2240}}));
}

}  // namespace
}  // namespace reprise

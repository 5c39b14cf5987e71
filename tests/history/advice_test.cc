// What is said of a prompt, in words: one test for each cause, on conversations of a byte-level
// model, so that a token is a byte (control tokens but one each) and every count can be counted by
// hand.

#include "history/advice.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "fixtures/test_model.h"
#include "history/divergence.h"

namespace reprise {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using State = PastRequest::State;
using PartKind = PartName::Kind;

struct Said {
  PartName name;
  std::string text;
  PartRole role = PartRole::kNone;
};
Said System(std::string text) {
  return {{PartKind::kSystem, 0}, std::move(text), PartRole::kSystem};
}
Said Message(uint32_t index, std::string text, PartRole role = PartRole::kUser) {
  return {{PartKind::kMessage, index}, std::move(text), role};
}
Said Tool(uint32_t index, std::string text) { return {{PartKind::kTool, index}, std::move(text)}; }

class AdviceTest : public testing::Test {
 protected:
  // "[text]" for each part: two bytes of the template around it.
  PastPrompt PromptOf(const std::vector<Said>& parts) {
    PastPrompt prompt;
    std::string text;
    for (const Said& part : parts) {
      const auto begin = static_cast<uint32_t>(text.size() + 1);
      text += "[" + part.text + "]";
      prompt.part_spans.push_back(
          {part.name, begin, static_cast<uint32_t>(text.size() - 1), part.role});
    }
    text += ">";
    prompt.tokens = model_.tokenizer->Encode(text, EncodeOptions{});
    EXPECT_EQ(prompt.tokens.size(), text.size());
    return prompt;
  }

  const PastRequest& Run(const std::vector<Said>& parts, size_t read = 0,
                         std::optional<CacheLoss> lost = {}, PastRequest request = {},
                         std::vector<BreakpointOutcome> marks = {}) {
    const State end = request.state == State::kQueued ? State::kFinished : request.state;
    const std::string id = std::to_string(++last_);
    request.request_id = "req_" + id;
    request.reply_id = "msg_" + id;
    request.prompts.push_back(PromptOf(parts));
    const int tokens = static_cast<int>(request.prompts[0].tokens.size());
    const uint64_t number = history_.Begin(std::move(request));
    StartedEvent event{tokens, static_cast<int>(read)};
    event.lost = lost;
    event.breakpoints = std::move(marks);
    event.known_tokens = known_.value_or(static_cast<int>(read));
    history_.NoteStarted(number, 0, event, WallTime(seconds(1)));
    if (end == State::kFinished) history_.NoteComputed(number, 0, WallTime(seconds(1)));
    history_.NoteEnd(number, end);
    return *history_.Find(number);
  }

  Explanation Say(const PastRequest& request, RoomTaker taker = {}, Seen seen = Seen::kOwnTenant) {
    const PastPrompt& prompt = request.prompts[0];
    const MissReport report = ExplainMiss(history_, request, 0, seen);
    std::optional<PromptChange> change;
    if (report.closest != nullptr) {
      const DecodedPrompt ours(prompt, *model_.tokenizer);
      const DecodedPrompt theirs(report.closest->prompts[report.closest_prompt], *model_.tokenizer);
      if (const auto place = FindDivergence(ours, theirs)) {
        change = FindChange(ours, theirs, *place);
      }
    }
    return Explain({request, prompt, report, change, std::move(taker), 200});
  }

  // The second of two, which read what both begin with.
  Explanation SayOfPair(const std::vector<Said>& before, const std::vector<Said>& now) {
    const PastPrompt a = PromptOf(before), b = PromptOf(now);
    size_t shared = 0;
    while (shared < a.tokens.size() && a.tokens[shared] == b.tokens[shared]) ++shared;
    Run(before);
    return Say(Run(now, shared));
  }

  const ServedModel model_ = TestModel();
  History history_{100, 1u << 24};
  uint64_t last_ = 0;
  std::optional<int> known_;
};

const std::string kDocument(100, 'd');

// -- Values that change
// ----------------------------------------------------------------------------

TEST_F(AdviceTest, AClockInTheSystemText) {
  // Behind the clock: ". ", the document, "]" and "[Go]>": 2 + 100 + 1 + 5.
  const auto said = [](const std::string& clock) {
    return std::vector{System("It is " + clock + ". " + kDocument), Message(0, "Go")};
  };
  const Explanation explanation = SayOfPair(said("14:03:22"), said("14:05:10"));
  EXPECT_EQ(explanation.what,
            "The clock in the system text (“14:03:22” before, “14:05:10” now) moved 108 tokens out "
            "of reach.");
  EXPECT_EQ(explanation.advice,
            "Put the clock behind the document and whatever else stays the same, best in the last "
            "message.");
}

TEST_F(AdviceTest, WhatIsMovedEndsWhereTheTextsDifferAgain) {
  Run({System("At 9:15 " + kDocument), Message(0, "What is this?")});
  const Explanation explanation =
      Say(Run({System("At 9:16 " + kDocument), Message(0, "Who are you?")}, 7));
  // " ", the document, "][Wh"
  EXPECT_TRUE(explanation.what.contains("moved 105 tokens out of reach")) << explanation.what;
}

TEST_F(AdviceTest, NothingCountsTwiceThatWasRead) {
  Run({System("At 9:15 " + kDocument), Message(0, "Go")});
  const Explanation explanation = Say(Run({System("At 9:16 " + kDocument), Message(0, "Go")}, 57));
  // Another request's prefix was read further than this one's closest, up to its byte 57 of 115.
  EXPECT_TRUE(explanation.what.contains("moved 58 tokens out of reach")) << explanation.what;
}

TEST_F(AdviceTest, EachKindOfValueHasItsName) {
  struct Case {
    std::string before, now, name;
    std::string alike;  // that both end with
  };
  for (const auto& [before, now, name, alike] : {
           Case{"2026-11-29", "2026-11-30", "date", ""},
           Case{"Sunday, 29 November 2026", "Monday, 30 November 2026", "date", " November 2026"},
           Case{"29 November", "30 November", "date", " November"},
           Case{"2026-11-29T14:03:22Z", "2026-11-29T14:03:23Z", "clock", ""},
           Case{"nine o'clock", "ten o'clock", "clock", " o'clock"},
           Case{"123e4567-e89b-12d3-a456-426614174000", "9b2e4567-e89b-12d3-a456-426614174000",
                "identifier", ""},
           Case{"req_8f3a01", "req_77b2c9", "identifier", ""},
           Case{"41", "42", "counter", ""},
           Case{"41", "57", "number", ""},
           Case{"3.25", "3.5", "number", ""},
       }) {
    history_ = History(100, 1u << 24);
    const Explanation explanation =
        SayOfPair({System("It is " + before + " now. " + kDocument), Message(0, "Go")},
                  {System("It is " + now + " now. " + kDocument), Message(0, "Go")});
    EXPECT_TRUE(explanation.what.starts_with("The " + name + " in the system text"))
        << explanation.what;
    // " now. ", the document, "][Go]>"
    EXPECT_EQ(explanation.what.substr(explanation.what.find("moved")),
              "moved " + std::to_string(112 + alike.size()) + " tokens out of reach.")
        << explanation.what;
  }
}

TEST_F(AdviceTest, WordsThatChangedAreShown) {
  const Explanation explanation =
      SayOfPair({System("Be very kind. " + kDocument), Message(0, "Go")},
                {System("Be very brief. " + kDocument), Message(0, "Go")});
  EXPECT_EQ(explanation.what,
            "A few words that changed in the system text (“kind” before, “brief” now) moved 108 "
            "tokens out of reach.");
}

TEST_F(AdviceTest, AnIdentifierInAToolAndAClockInAMessage) {
  Explanation explanation =
      SayOfPair({Tool(0, "find, session a81f33c9, by name" + kDocument), Message(0, "Go")},
                {Tool(0, "find, session 77e0b1d2, by name" + kDocument), Message(0, "Go")});
  EXPECT_TRUE(explanation.what.starts_with("The identifier in tools[0] (“a81f33c9” before"))
      << explanation.what;
  EXPECT_EQ(explanation.advice, "Put the identifier behind the tools, best in the last message.");
  history_ = History(100, 1u << 24);
  explanation = SayOfPair({Message(0, "At 8:00: " + kDocument), Message(1, "Go")},
                          {Message(0, "At 8:01: " + kDocument), Message(1, "Go")});
  EXPECT_TRUE(explanation.what.starts_with("The clock in messages[0] (“8:00” before, “8:01” now)"))
      << explanation.what;
}

// -- Parts that change
// -----------------------------------------------------------------------------

const std::string kToolA(130, 'X'), kToolB(130, 'Y'), kToolC(130, 'Z');

TEST_F(AdviceTest, ToolsReorderedAddedRemovedAndChanged) {
  // Behind the tools: "system text…]" + "[Go]>" with the bracket before it read as the part's own.
  const std::vector<Said> rest = {System(kDocument), Message(0, "Go")};
  const auto with = [&](std::vector<Said> tools) {
    tools.insert(tools.end(), rest.begin(), rest.end());
    return tools;
  };
  const auto say = [&](std::vector<Said> before, std::vector<Said> now) {
    history_ = History(100, 1u << 24);
    return SayOfPair(with(std::move(before)), with(std::move(now)));
  };
  EXPECT_EQ(say({Tool(0, kToolA), Tool(1, kToolB)}, {Tool(0, kToolB), Tool(1, kToolA)}).what,
            "The tools are the same in another order, which moved 106 tokens out of reach.");
  EXPECT_EQ(say({Tool(0, kToolA)}, {Tool(0, kToolB), Tool(1, kToolA)}).what,
            "1 tool that was put in at tools[0] moved 106 tokens out of reach.");
  EXPECT_EQ(say({Tool(0, kToolA), Tool(1, kToolB), Tool(2, kToolC)}, {Tool(0, kToolC)}).what,
            "2 tools that were left out at tools[0] moved 106 tokens out of reach.");
  EXPECT_EQ(say({Tool(0, kToolA), Tool(1, kToolB)}, {Tool(0, kToolA), Tool(1, kToolC)}).what,
            "The tools changed at tools[1], which moved 106 tokens out of reach.");
}

TEST_F(AdviceTest, AnEditedSystemText) {
  const Explanation explanation = SayOfPair(
      {System("Answer. " + kDocument), Message(0, "Go")},
      {System("Answer in one sentence, without (any) lists. " + kDocument), Message(0, "Go")});
  EXPECT_TRUE(explanation.what.starts_with("The system text was edited, which moved 10"))
      << explanation.what;
}

TEST_F(AdviceTest, AMessageWrittenAnew) {
  const Explanation explanation = SayOfPair(
      {Message(0, "One thing."), Message(1, "LONG; (AND) MORE"), Message(2, kDocument)},
      {Message(0, "One thing."), Message(1, "BRIEF!"), Message(2, kDocument), Message(3, "And?")});
  // "[", the document, "]" and what both have behind that: none, "[" against ">".
  EXPECT_TRUE(explanation.what.starts_with("messages[1] was written anew, which moved 10"))
      << explanation.what;
  EXPECT_TRUE(explanation.advice->starts_with("Send earlier messages exactly as they were sent"));
}

TEST_F(AdviceTest, ASlidingWindow) {
  const std::string one(30, '1'), two(30, '2'), three(30, '3'), four(30, '4');
  const Explanation explanation =
      SayOfPair({System("S"), Message(0, one), Message(1, two), Message(2, three)},
                {System("S"), Message(0, two), Message(1, three), Message(2, four)});
  EXPECT_EQ(explanation.what,
            "1 message was left out at messages[0]: the later ones moved forward, which moved 63 "
            "tokens out of reach.");  // two, "][", three, "]"
  EXPECT_TRUE(explanation.advice->contains("leave out many messages at once and rarely"));
}

TEST_F(AdviceTest, AMessagePutInBeforeOthers) {
  const std::string one(30, '1'), two(30, '2'), three(30, '3');
  const Explanation explanation =
      SayOfPair({System("S"), Message(0, one), Message(1, two)},
                {System("S"), Message(0, three), Message(1, one), Message(2, two)});
  EXPECT_TRUE(explanation.what.starts_with("1 message was put in at messages[0], before messages"))
      << explanation.what;
  EXPECT_TRUE(explanation.what.contains("moved 64 tokens")) << explanation.what;
}

// -- Nothing to change
// -----------------------------------------------------------------------------

TEST_F(AdviceTest, AHitSaysWhatWasReadAndGivesNoAdvice) {
  Run({System(kDocument), Message(0, "Go")});
  EXPECT_EQ(Say(Run({System(kDocument), Message(0, "Go")}, 106)),
            (Explanation{"The whole prompt was read, but for the last token, from which the reply "
                         "begins.",
                         std::nullopt}));
  EXPECT_EQ(Say(Run({System(kDocument), Message(0, "Go")}, 107)).what,
            "The whole prompt was read.");
  EXPECT_EQ(Say(Run({System(kDocument), Message(0, "Who?")}, 103)),
            (Explanation{"All 103 tokens that it shares with req_3 were read; the 6 tokens behind "
                         "them are new.",
                         std::nullopt}));
  history_ = History(100, 1u << 24);
  Run({Message(0, "HALLO")});
  EXPECT_EQ(Say(Run({Message(0, "HALLO"), Message(1, "GOOD"), Message(2, "BYE")}, 12)).what,
            "12 tokens were read, which req_5 and its reply left in the cache; the 7 tokens behind "
            "them are new.");
}

TEST_F(AdviceTest, NothingSharedIsSaidAlsoWhereTheTemplateAloneIs) {
  EXPECT_EQ(Say(Run({System("One")})).what,
            "No earlier request in the history begins like this one: its 6 tokens are new.");
  EXPECT_EQ(Say(Run({System("Two")}, 1)).what,
            "No earlier request in the history begins like this one: its 5 tokens that were "
            "computed are new.");
}

// -- Losses
// ----------------------------------------------------------------------------------------

class LossTest : public AdviceTest {
 protected:
  const std::vector<Said> said_ = {System(kDocument), Message(0, "Go")};  // 107 tokens
  static CacheLoss Lost(LossCause cause) { return {cause, seconds(3), SequenceId{1}}; }
};

TEST_F(LossTest, EvictedSaysForWhom) {
  Run(said_);
  const PastRequest& request = Run(said_, 16, Lost(LossCause::kEvicted));
  EXPECT_EQ(Say(request, {RoomTaker::Who::kRequest, "req_9"}),
            (Explanation{"It begins with the same 107 tokens as req_1, of which 16 tokens were "
                         "read: the rest was evicted 3 seconds before, to make room for req_9.",
                         "Mark what should stay (cache_control), so that it is promised, or give "
                         "--kv-memory more."}));
  EXPECT_TRUE(Say(request, {RoomTaker::Who::kAnotherTenant, ""})
                  .what.ends_with("to make room for another tenant's request."));
  EXPECT_TRUE(Say(request).what.ends_with("to make room for other work."));
}

TEST_F(LossTest, EvictedWithAMarkThatHadNoRoom) {
  Run(said_, 0, {}, {}, {{100, minutes(5), PinDecision::kPoolFull}});
  EXPECT_TRUE(
      Say(Run(said_, 16, Lost(LossCause::kEvicted))).advice->contains("give --pin-memory more"));
}

TEST_F(LossTest, ExpiredByRetentionAndByTheEndOfAPromise) {
  Run(said_);
  Explanation explanation = Say(Run(said_, 0, Lost(LossCause::kExpired)));
  EXPECT_EQ(explanation.what,
            "It begins with the same 107 tokens as req_1, of which none were read: the rest had "
            "not been used for the time of --retention and expired 3 seconds before.");
  EXPECT_TRUE(explanation.advice->contains("with a ttl"));
  Run(said_, 0, {}, {}, {{100, minutes(5), PinDecision::kAccepted}});
  explanation = Say(Run(said_, 0, Lost(LossCause::kExpired)));
  EXPECT_TRUE(explanation.what.contains("the promise of 5 minutes on the rest had run out"))
      << explanation.what;
  EXPECT_TRUE(explanation.advice->contains("a longer ttl"));
}

TEST_F(LossTest, FlushedUnknownAndComputing) {
  Run(said_);
  EXPECT_TRUE(Say(Run(said_, 1, Lost(LossCause::kFlushed)))
                  .what.ends_with("of which 1 was read: an administrator let the rest go 3 "
                                  "seconds before."));
  EXPECT_TRUE(Say(Run(said_)).what.ends_with("what became of the rest is no longer known."));
  PastRequest running;
  running.state = State::kComputing;
  Run(said_, 0, {}, running);
  EXPECT_TRUE(Say(Run(said_)).what.ends_with("the rest was being computed at the same time."));
}

TEST_F(LossTest, NotCachedBelowTheMinimumByWishOrCancelled) {
  PastRequest uncached;
  uncached.cache = CacheUse::kNone;
  Run(said_);
  EXPECT_EQ(Say(Run(said_, 0, {}, uncached)).what,
            "This request has fewer tokens than the minimum of 200 tokens below which nothing is "
            "cached.");
  history_ = History(100, 1u << 24);
  const std::vector<Said> longer = {System(kDocument + kDocument), Message(0, "Go")};
  Run(longer, 0, {}, uncached);
  EXPECT_EQ(Say(Run(longer)).what, "req_3 asked not to be cached.");
  history_ = History(100, 1u << 24);
  PastRequest cancelled;
  cancelled.state = State::kCancelled;
  Run(longer, 0, {}, cancelled);
  EXPECT_TRUE(Say(Run(longer)).what.ends_with("ended before the rest of it was computed."));
}

TEST_F(LossTest, NoSnapshotOtherKeyAndOtherTenant) {
  Run(said_);
  known_ = 107;
  EXPECT_TRUE(Say(Run(said_, 16))
                  .what.ends_with("K and V of 107 tokens are cached, but the state of the model's "
                                  "recurrent layers was kept "
                                  "behind 16 tokens and no further."));
  known_.reset();
  history_ = History(100, 1u << 24);
  PastRequest keyed;
  keyed.cache_key = "k";
  Run(said_, 0, {}, keyed);
  EXPECT_TRUE(Say(Run(said_)).what.ends_with("the rest is cached under another prompt_cache_key."));
  history_ = History(100, 1u << 24);
  PastRequest theirs, ours;
  theirs.tenant = "zenith";
  ours.tenant = "acme";
  Run(said_, 0, {}, theirs);
  const PastRequest& request = Run(said_, 0, {}, ours);
  EXPECT_TRUE(Say(request, {}, Seen::kAllTenants).what.contains("another tenant's (zenith)"));
  EXPECT_EQ(Say(request).what,
            "No earlier request in the history begins like this one: its 107 tokens are new.");
}

}  // namespace
}  // namespace reprise

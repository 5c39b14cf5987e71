// The history of requests: what is kept, what is forgotten, and what is told from it: why what a
// request shares with an earlier one was not read, and how a request differs from the one before
// it.

#include "history/history.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "history/cache_diagnosis.h"
#include "history/miss_report.h"

namespace reprise {
namespace {

using std::chrono::seconds;
using State = PastRequest::State;
using Type = CacheMissReason::Type;
constexpr size_t kPlenty = 1u << 20;

std::vector<TokenId> Count(TokenId from, size_t length) {
  std::vector<TokenId> tokens(length);
  for (size_t i = 0; i < length; ++i) tokens[i] = from + static_cast<TokenId>(i);
  return tokens;
}
std::vector<TokenId> operator+(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

PastRequest Asked(std::vector<TokenId> prompt, std::string tenant = "") {
  PastRequest request;
  request.endpoint = "/v1/messages";
  request.tenant = std::move(tenant);
  request.model_name = "any";
  request.prompts.resize(1);
  request.prompts[0].tokens = std::move(prompt);
  return request;
}

class HistoryTest : public testing::Test {
 protected:
  // A request that was looked up, `read` tokens of it read, and ended. Ids "req_N" and "msg_N".
  const PastRequest& Run(const PastRequest& asked, int read = 0, std::optional<CacheLoss> lost = {},
                         State end = State::kFinished) {
    const uint64_t number = Begin(asked);
    StartedEvent event{static_cast<int>(asked.prompts[0].tokens.size()), read};
    event.lost = lost;
    history_.NoteStarted(number, 0, event, now_);
    if (end == State::kFinished) history_.NoteComputed(number, 0, now_);
    history_.NoteEnd(number, end);
    return *history_.Find(number);
  }
  uint64_t Begin(PastRequest request) {
    now_ += seconds(1);
    const std::string name = std::to_string(++last_);
    request.request_id = "req_" + name;
    request.reply_id = "msg_" + name;
    request.time = now_;
    const uint64_t number = history_.Begin(request);
    history_.NoteSubmitted(number, 0, SequenceId{last_});
    return number;
  }
  MissReport Explain(const PastRequest& request, Seen seen = Seen::kOwnTenant) {
    return ExplainMiss(history_, request, 0, seen);
  }

  History history_{100, kPlenty};
  WallTime now_ = WallTime(seconds(1'700'000'000));
  uint64_t last_ = 0;
};

// -- Keeping --------------------------------------------------------------------------------------

TEST_F(HistoryTest, ARequestIsFoundByEitherIdAndItsSequence) {
  Run(Asked(Count(1, 5)));
  EXPECT_EQ(history_.Find("req_1"), history_.Find("msg_1"));
  ASSERT_NE(history_.Find("req_1"), nullptr);
  EXPECT_EQ(history_.Find("req_1")->prompts[0].tokens, Count(1, 5));
  EXPECT_EQ(history_.FindSequence(SequenceId{1}), history_.Find("req_1"));
  EXPECT_EQ(history_.Find("req_2"), nullptr);
  EXPECT_EQ(history_.FindSequence(SequenceId{2}), nullptr);
}

TEST_F(HistoryTest, KeepsTheLastOfEachTenant) {
  history_ = History(3, kPlenty);
  for (int i = 0; i < 5; ++i) Run(Asked(Count(1, 5), "a"));
  Run(Asked(Count(1, 5), "b"));  // the sixth
  for (int i = 0; i < 5; ++i) Run(Asked(Count(1, 5), "a"));
  EXPECT_EQ(history_.size(), 4U);
  EXPECT_NE(history_.Find("msg_6"), nullptr) << "others' requests push out none of it";
  std::vector<std::string> ids;
  history_.ForEachOf("a", [&](const PastRequest& request) { ids.push_back(request.request_id); });
  EXPECT_EQ(ids, (std::vector<std::string>{"req_11", "req_10", "req_9"}));
  EXPECT_EQ(history_.Find("req_8"), nullptr);
  EXPECT_EQ(history_.FindSequence(SequenceId{8}), nullptr);
}

TEST_F(HistoryTest, BytesAreBoundedAndTakenFromWhoHoldsMost) {
  constexpr size_t kBytes = 100'000;
  history_ = History(1000, kBytes);
  for (int i = 0; i < 3; ++i) Run(Asked(Count(1, 100), "small"));
  for (int i = 0; i < 100; ++i) {
    Run(Asked(Count(1, 5000), "large"));
    ASSERT_LE(history_.bytes(), kBytes);
  }
  for (const char* id : {"req_1", "req_2", "req_3", "req_103"}) {
    EXPECT_NE(history_.Find(id), nullptr) << id;
  }
  EXPECT_EQ(history_.Find("req_4"), nullptr);
}

TEST_F(HistoryTest, OneThatIsLargerThanAllIsNotKeptAndWhatIsNotedOfItIsDropped) {
  history_ = History(10, 10'000);
  const uint64_t number = Begin(Asked(Count(1, 5000)));
  EXPECT_EQ(history_.size(), 0U);
  EXPECT_EQ(history_.bytes(), 0U);
  history_.NoteStarted(number, 0, StartedEvent{5000, 0}, now_);
  history_.NoteComputed(number, 0, now_);
  history_.NoteEnd(number, State::kFinished);
  EXPECT_EQ(history_.Find(number), nullptr);
}

TEST_F(HistoryTest, NoneIsKeptWhenItIsOff) {
  history_ = History(0, kPlenty);
  Begin(Asked(Count(1, 5)));
  EXPECT_EQ(history_.size(), 0U);
}

// -- Why --------------------------------------------------------------------------------------

TEST_F(HistoryTest, WithoutAnEarlierRequestNothingIsShared) {
  EXPECT_EQ(Explain(Run(Asked(Count(1, 50)))).outcome, ReuseOutcome::kNothingShared);
  Run(Asked(Count(1000, 50)));
  const MissReport report = Explain(*history_.Find("req_1"));
  EXPECT_EQ(report.outcome, ReuseOutcome::kNothingShared) << "only earlier ones count";
  EXPECT_EQ(report.closest, nullptr);
}

TEST_F(HistoryTest, TheClosestIsTheOneThatSharesMost) {
  Run(Asked(Count(1, 50)));
  Run(Asked(Count(1, 30)));
  Run(Asked(Count(1, 50) + Count(900, 5)));
  Run(Asked(Count(1, 20)));
  const MissReport report = Explain(Run(Asked(Count(1, 50) + Count(700, 9)), 50));
  EXPECT_EQ(report.closest->request_id, "req_3") << "of equally close ones the later";
  EXPECT_EQ(report.shared, 50U);
  EXPECT_EQ(report.outcome, ReuseOutcome::kHit);
}

TEST_F(HistoryTest, SaysWhatBecameOfWhatIsShared) {
  const PastRequest asked = Asked(Count(1, 50));
  Run(asked);
  const auto outcome = [&](int read, std::optional<CacheLoss> lost) {
    return Explain(Run(asked, read, lost)).outcome;
  };
  EXPECT_EQ(outcome(50, {}), ReuseOutcome::kHit);
  EXPECT_EQ(outcome(49, {}), ReuseOutcome::kHit) << "the last token may have to be computed";
  EXPECT_EQ(outcome(48, {}), ReuseOutcome::kUnknown);
  for (const auto& [cause, wanted] : {std::pair(LossCause::kEvicted, ReuseOutcome::kEvicted),
                                      std::pair(LossCause::kExpired, ReuseOutcome::kExpired),
                                      std::pair(LossCause::kFlushed, ReuseOutcome::kFlushed)}) {
    const CacheLoss loss{cause, seconds(3), SequenceId{1}};
    EXPECT_EQ(outcome(32, loss), wanted);
    const PastRequest& request = Run(asked, 32, loss);
    EXPECT_EQ(Explain(request).loss, loss);
    EXPECT_EQ(outcome(49, loss), ReuseOutcome::kHit) << "a loss behind what is shared is no cause";
  }
}

TEST_F(HistoryTest, WhatIsNotToBeCachedWasNotCached) {
  PastRequest uncached = Asked(Count(1, 50));
  uncached.cache = CacheUse::kNone;
  Run(uncached);
  EXPECT_EQ(Explain(Run(Asked(Count(1, 50)))).outcome, ReuseOutcome::kNotCached)
      << "the earlier one";
  EXPECT_EQ(Explain(Run(uncached)).outcome, ReuseOutcome::kNotCached) << "this one";
  EXPECT_EQ(Explain(*history_.Find("req_3")).closest->request_id, "req_2")
      << "one that could have been read is closer than one that could not";
}

TEST_F(HistoryTest, OneThatWasCancelledBeforeItWasComputedWasNotCached) {
  Run(Asked(Count(1, 50)), 0, {}, State::kCancelled);
  EXPECT_EQ(Explain(Run(Asked(Count(1, 50)), 16)).outcome, ReuseOutcome::kNotCached);
}

TEST_F(HistoryTest, OneThatWasStillBeingComputedIsNamedAlsoAfterwards) {
  const uint64_t first = Begin(Asked(Count(1, 50)));
  history_.NoteStarted(first, 0, StartedEvent{50, 0}, now_);
  const PastRequest& second = Run(Asked(Count(1, 50)), 16);
  EXPECT_EQ(Explain(second).outcome, ReuseOutcome::kComputing);
  history_.NoteComputed(first, 0, now_ + seconds(1));
  history_.NoteEnd(first, State::kFinished);
  EXPECT_EQ(Explain(second).outcome, ReuseOutcome::kComputing);
}

// Of a model with recurrent layers, whose state was kept behind the first 16 tokens only.
TEST_F(HistoryTest, KAndVWithoutASnapshotOfTheStateAreNamed) {
  Run(Asked(Count(1, 50)));
  const uint64_t number = Begin(Asked(Count(1, 60)));
  StartedEvent event{60, 16};
  event.known_tokens = 50;
  history_.NoteStarted(number, 0, event, now_);
  EXPECT_EQ(Explain(*history_.Find(number)).outcome, ReuseOutcome::kNoSnapshot);
  const uint64_t lost = Begin(Asked(Count(1, 60)));
  event.known_tokens = 32;
  event.lost = CacheLoss{LossCause::kEvicted, seconds(1), {}};
  history_.NoteStarted(lost, 0, event, now_);
  EXPECT_EQ(Explain(*history_.Find(lost)).outcome, ReuseOutcome::kEvicted);
}

TEST_F(HistoryTest, AnotherCacheKeyOfTheTenantIsNamed) {
  PastRequest other = Asked(Count(1, 50));
  other.cache_key = "k";
  Run(other);
  EXPECT_EQ(Explain(Run(Asked(Count(1, 50)))).outcome, ReuseOutcome::kOtherCacheKey);
  Run(Asked(Count(1, 50)));
  EXPECT_EQ(Explain(Run(Asked(Count(1, 50)), 49)).outcome, ReuseOutcome::kHit)
      << "of equally close ones that of its own cache key";
}

TEST_F(HistoryTest, AnotherTenantsRequestIsForAdministratorsOnly) {
  Run(Asked(Count(1, 50), "a"));
  const PastRequest& request = Run(Asked(Count(1, 50), "b"));
  EXPECT_EQ(Explain(request).outcome, ReuseOutcome::kNothingShared);
  EXPECT_EQ(Explain(request).closest, nullptr);
  EXPECT_EQ(Explain(request, Seen::kAllTenants).outcome, ReuseOutcome::kOtherTenant);
  EXPECT_EQ(Explain(request, Seen::kAllTenants).closest->tenant, "a");
}

// -- Diagnosis ------------------------------------------------------------------------------------

class DiagnosisTest : public HistoryTest {
 protected:
  static PastRequest Marked(std::vector<TokenId> prompt, std::vector<uint64_t> messages,
                            std::string tenant = "") {
    PastRequest asked = Asked(std::move(prompt), std::move(tenant));
    asked.fingerprint = {.tools = 1, .system = 2, .messages = std::move(messages)};
    return asked;
  }
  // Of a request that names `previous` and read so much.
  std::optional<CacheMissReason> Diagnose(const PastRequest& asked, int read,
                                          const std::string& previous = "msg_1") {
    return DiagnoseMiss(history_, asked.tenant, previous, &Run(asked, read));
  }
};

const std::vector<TokenId> kPrompt = Count(1, 100);

TEST_F(DiagnosisTest, WhatOnlyAppendsAndIsReadIsNoMiss) {
  Run(Marked(kPrompt, {10, 11}));
  EXPECT_EQ(Diagnose(Marked(kPrompt + Count(500, 20), {10, 11, 12}), 100), std::nullopt);
  EXPECT_EQ(Diagnose(Marked(kPrompt, {10, 11}), 99), std::nullopt) << "the same again";
}

TEST_F(DiagnosisTest, TheFirstOfModelToolsSystemAndMessagesThatDiffersIsNamed) {
  Run(Marked(kPrompt, {10, 11}));
  PastRequest asked = Marked(kPrompt, {10, 99});
  EXPECT_EQ(Diagnose(asked, 40), (CacheMissReason{Type::kMessagesChanged, 59}));
  asked.fingerprint.system = 99;
  EXPECT_EQ(Diagnose(asked, 40), (CacheMissReason{Type::kSystemChanged, 59}));
  asked.fingerprint.tools = 99;
  EXPECT_EQ(Diagnose(asked, 40), (CacheMissReason{Type::kToolsChanged, 59}));
  asked.model_name = "other";
  EXPECT_EQ(Diagnose(asked, 99), (CacheMissReason{Type::kModelChanged, 0}))
      << "another name for the same model: nothing is missed by it";
}

TEST_F(DiagnosisTest, AMessageTakenAwayIsAChange) {
  Run(Marked(kPrompt, {10, 11}));
  EXPECT_EQ(Diagnose(Marked(Count(1, 50), {10}), 40)->type, Type::kMessagesChanged);
}

TEST_F(DiagnosisTest, WhatWasMissedIsOfTheShorterPrompt) {
  Run(Marked(kPrompt, {10}));
  EXPECT_EQ(Diagnose(Marked(Count(1, 30) + Count(500, 300), {99}), 30)->missed_tokens, 70U);
  EXPECT_EQ(Diagnose(Marked(Count(1, 30) + Count(500, 10), {99}), 30)->missed_tokens, 9U);
  EXPECT_EQ(Diagnose(Marked(Count(500, 300), {99}), 250)->missed_tokens, 0U)
      << "another request's prefix may be read beyond it";
}

TEST_F(DiagnosisTest, UnchangedAndYetNotReadIsUnavailable) {
  Run(Marked(kPrompt, {10}));
  EXPECT_EQ(Diagnose(Marked(kPrompt + Count(500, 20), {10, 11}), 64),
            (CacheMissReason{Type::kUnavailable, 0}));
}

TEST_F(DiagnosisTest, AnUnknownAndAForeignIdAreToldAlike) {
  Run(Marked(kPrompt, {10}, "theirs"));
  const CacheMissReason wanted{Type::kPreviousMessageNotFound, 0};
  const PastRequest asked = Marked(kPrompt, {10}, "ours");
  EXPECT_EQ(Diagnose(asked, 0, "msg_1"), wanted);
  EXPECT_EQ(Diagnose(asked, 0, "msg_777"), wanted);
  EXPECT_EQ(Diagnose(asked, 0, "req_2"), wanted) << "no message's id";
  EXPECT_EQ(Diagnose(asked, 0, ""), wanted);
  EXPECT_EQ(DiagnoseMiss(history_, "ours", "msg_2", nullptr), wanted) << "with the history off";
}

TEST_F(HistoryTest, ARequestTellsWhatItTookAndWhatItSpared) {
  PastRequest asked = Asked(Count(0, 50));
  asked.prompts.resize(2);
  const auto work = std::make_shared<WorkDone>();
  asked.work = work;
  const uint64_t number = Begin(asked);
  const PastRequest& request = *history_.Find(number);
  EXPECT_EQ(request.first_token_ms, std::nullopt);
  EXPECT_EQ(request.saved_seconds(), 0);
  StartedEvent event{50, 32};
  event.saved_seconds = 0.5;
  history_.NoteStarted(number, 0, event, now_);
  history_.NoteStarted(number, 1, event, now_);
  history_.NoteFirstText(number, 12.5);
  work->generated = 3;
  EXPECT_EQ(request.saved_seconds(), 1.0) << "of all its prompts";
  EXPECT_EQ(request.first_token_ms, 12.5);
  EXPECT_EQ(request.generated(), 3) << "while it runs";
  EXPECT_EQ(PastRequest().generated(), 0);
  history_.NoteFirstText(number + 1, 1);  // one that is not known
}

}  // namespace
}  // namespace reprise

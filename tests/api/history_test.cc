// The history of requests: what is kept, what is forgotten, and what is told from it: why what a
// request shares with an earlier one was not read, in our own words and in Anthropic's.

#include "api/history.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/cache_diagnosis.h"
#include "api/miss_report.h"

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

Call CallOf(std::vector<TokenId> prompt, std::string tenant = "") {
  Call call;
  call.endpoint = Endpoint::kMessages;
  call.tenant = std::move(tenant);
  call.model_name = "any";
  call.prompts = {std::move(prompt)};
  call.landmarks = {{}};
  return call;
}

class HistoryTest : public testing::Test {
 protected:
  // A request that was looked up, `read` tokens of it read, and ended. Ids "req_N" and "msg_N".
  const PastRequest& Run(const Call& call, int read = 0, std::optional<CacheLoss> lost = {},
                         State end = State::kFinished) {
    const uint64_t number = Begin(call);
    StartedEvent event{static_cast<int>(call.prompts[0].size()), read};
    event.lost = lost;
    history_.NoteStarted(number, 0, event, now_);
    if (end == State::kFinished) history_.NoteComputed(number, 0, now_);
    history_.NoteEnd(number, end);
    return *history_.Find(number);
  }
  uint64_t Begin(const Call& call) {
    now_ += seconds(1);
    const std::string name = std::to_string(++last_);
    const uint64_t number = history_.Begin(call, {"req_" + name, "msg_" + name}, now_);
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
  Run(CallOf(Count(1, 5)));
  EXPECT_EQ(history_.Find("req_1"), history_.Find("msg_1"));
  ASSERT_NE(history_.Find("req_1"), nullptr);
  EXPECT_EQ(history_.Find("req_1")->prompts[0].tokens, Count(1, 5));
  EXPECT_EQ(history_.FindSequence(SequenceId{1}), history_.Find("req_1"));
  EXPECT_EQ(history_.Find("req_2"), nullptr);
  EXPECT_EQ(history_.FindSequence(SequenceId{2}), nullptr);
}

TEST_F(HistoryTest, KeepsTheLastOfEachTenant) {
  history_ = History(3, kPlenty);
  for (int i = 0; i < 5; ++i) Run(CallOf(Count(1, 5), "a"));
  Run(CallOf(Count(1, 5), "b"));  // the sixth
  for (int i = 0; i < 5; ++i) Run(CallOf(Count(1, 5), "a"));
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
  for (int i = 0; i < 3; ++i) Run(CallOf(Count(1, 100), "small"));
  for (int i = 0; i < 100; ++i) {
    Run(CallOf(Count(1, 5000), "large"));
    ASSERT_LE(history_.bytes(), kBytes);
  }
  for (const char* id : {"req_1", "req_2", "req_3", "req_103"}) {
    EXPECT_NE(history_.Find(id), nullptr) << id;
  }
  EXPECT_EQ(history_.Find("req_4"), nullptr);
}

TEST_F(HistoryTest, OneThatIsLargerThanAllIsNotKeptAndWhatIsNotedOfItIsDropped) {
  history_ = History(10, 10'000);
  const uint64_t number = Begin(CallOf(Count(1, 5000)));
  EXPECT_EQ(history_.size(), 0U);
  EXPECT_EQ(history_.bytes(), 0U);
  history_.NoteStarted(number, 0, StartedEvent{5000, 0}, now_);
  history_.NoteComputed(number, 0, now_);
  history_.NoteEnd(number, State::kFinished);
  EXPECT_EQ(history_.Find(number), nullptr);
}

TEST_F(HistoryTest, NoneIsKeptWhenItIsOff) {
  history_ = History(0, kPlenty);
  Begin(CallOf(Count(1, 5)));
  EXPECT_EQ(history_.size(), 0U);
}

// -- Why --------------------------------------------------------------------------------------

TEST_F(HistoryTest, WithoutAnEarlierRequestNothingIsShared) {
  EXPECT_EQ(Explain(Run(CallOf(Count(1, 50)))).fate, ShareFate::kNothingShared);
  Run(CallOf(Count(1000, 50)));
  const MissReport report = Explain(*history_.Find("req_1"));
  EXPECT_EQ(report.fate, ShareFate::kNothingShared) << "only earlier ones count";
  EXPECT_EQ(report.closest, nullptr);
}

TEST_F(HistoryTest, TheClosestIsTheOneThatSharesMost) {
  Run(CallOf(Count(1, 50)));
  Run(CallOf(Count(1, 30)));
  Run(CallOf(Count(1, 50) + Count(900, 5)));
  Run(CallOf(Count(1, 20)));
  const MissReport report = Explain(Run(CallOf(Count(1, 50) + Count(700, 9)), 50));
  EXPECT_EQ(report.closest->request_id, "req_3") << "of equally close ones the later";
  EXPECT_EQ(report.shared, 50U);
  EXPECT_EQ(report.fate, ShareFate::kHit);
}

TEST_F(HistoryTest, SaysWhatBecameOfWhatIsShared) {
  const Call call = CallOf(Count(1, 50));
  Run(call);
  const auto fate = [&](int read, std::optional<CacheLoss> lost) {
    return Explain(Run(call, read, lost)).fate;
  };
  EXPECT_EQ(fate(50, {}), ShareFate::kHit);
  EXPECT_EQ(fate(49, {}), ShareFate::kHit) << "the last token may have to be computed";
  EXPECT_EQ(fate(48, {}), ShareFate::kUnknown);
  for (const auto& [cause, wanted] : {std::pair(LossCause::kEvicted, ShareFate::kEvicted),
                                      std::pair(LossCause::kExpired, ShareFate::kExpired),
                                      std::pair(LossCause::kFlushed, ShareFate::kFlushed)}) {
    const CacheLoss loss{cause, seconds(3), SequenceId{1}};
    EXPECT_EQ(fate(32, loss), wanted);
    const PastRequest& request = Run(call, 32, loss);
    EXPECT_EQ(Explain(request).loss, loss);
    EXPECT_EQ(fate(49, loss), ShareFate::kHit) << "a loss behind what is shared is no cause";
  }
}

TEST_F(HistoryTest, WhatIsNotToBeCachedWasNotCached) {
  Call uncached = CallOf(Count(1, 50));
  uncached.parameters.cache = CacheUse::kNone;
  Run(uncached);
  EXPECT_EQ(Explain(Run(CallOf(Count(1, 50)))).fate, ShareFate::kNotCached) << "the earlier one";
  EXPECT_EQ(Explain(Run(uncached)).fate, ShareFate::kNotCached) << "this one";
  EXPECT_EQ(Explain(*history_.Find("req_3")).closest->request_id, "req_2")
      << "one that could have been read is closer than one that could not";
}

TEST_F(HistoryTest, OneThatWasCancelledBeforeItWasComputedWasNotCached) {
  Run(CallOf(Count(1, 50)), 0, {}, State::kCancelled);
  EXPECT_EQ(Explain(Run(CallOf(Count(1, 50)), 16)).fate, ShareFate::kNotCached);
}

TEST_F(HistoryTest, OneThatWasStillBeingComputedIsNamedAlsoAfterwards) {
  const uint64_t first = Begin(CallOf(Count(1, 50)));
  history_.NoteStarted(first, 0, StartedEvent{50, 0}, now_);
  const PastRequest& second = Run(CallOf(Count(1, 50)), 16);
  EXPECT_EQ(Explain(second).fate, ShareFate::kComputing);
  history_.NoteComputed(first, 0, now_ + seconds(1));
  history_.NoteEnd(first, State::kFinished);
  EXPECT_EQ(Explain(second).fate, ShareFate::kComputing);
}

TEST_F(HistoryTest, AnotherPopulationOfTheTenantIsNamed) {
  Call other = CallOf(Count(1, 50));
  other.cache_key = "k";
  Run(other);
  EXPECT_EQ(Explain(Run(CallOf(Count(1, 50)))).fate, ShareFate::kOtherCacheKey);
  Run(CallOf(Count(1, 50)));
  EXPECT_EQ(Explain(Run(CallOf(Count(1, 50)), 49)).fate, ShareFate::kHit)
      << "of equally close ones that of its own population";
}

TEST_F(HistoryTest, AnotherTenantsRequestIsForAdministratorsOnly) {
  Run(CallOf(Count(1, 50), "a"));
  const PastRequest& request = Run(CallOf(Count(1, 50), "b"));
  EXPECT_EQ(Explain(request).fate, ShareFate::kNothingShared);
  EXPECT_EQ(Explain(request).closest, nullptr);
  EXPECT_EQ(Explain(request, Seen::kAllTenants).fate, ShareFate::kOtherTenant);
  EXPECT_EQ(Explain(request, Seen::kAllTenants).closest->tenant, "a");
}

// -- Anthropic's diagnosis ------------------------------------------------------------------------

class DiagnosisTest : public HistoryTest {
 protected:
  static Call Marked(std::vector<TokenId> prompt, std::vector<uint64_t> messages,
                     std::string tenant = "") {
    Call call = CallOf(std::move(prompt), std::move(tenant));
    call.fingerprint = {.tools = 1, .system = 2, .messages = std::move(messages)};
    return call;
  }
  // Of a request that names `previous` and read so much.
  std::optional<CacheMissReason> Diagnose(Call call, int read,
                                          std::optional<std::string> previous = "msg_1") {
    call.diagnostics = DiagnosticsWish{std::move(previous)};
    return DiagnoseMiss(history_, call, &Run(call, read));
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
  Call call = Marked(kPrompt, {10, 99});
  EXPECT_EQ(Diagnose(call, 40), (CacheMissReason{Type::kMessagesChanged, 59}));
  call.fingerprint.system = 99;
  EXPECT_EQ(Diagnose(call, 40), (CacheMissReason{Type::kSystemChanged, 59}));
  call.fingerprint.tools = 99;
  EXPECT_EQ(Diagnose(call, 40), (CacheMissReason{Type::kToolsChanged, 59}));
  call.model_name = "other";
  EXPECT_EQ(Diagnose(call, 99), (CacheMissReason{Type::kModelChanged, 0}))
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
  const Call call = Marked(kPrompt, {10}, "ours");
  EXPECT_EQ(Diagnose(call, 0, "msg_1"), wanted);
  EXPECT_EQ(Diagnose(call, 0, "msg_777"), wanted);
  EXPECT_EQ(Diagnose(call, 0, "req_2"), wanted) << "no message's id";
  EXPECT_EQ(Diagnose(call, 0, ""), wanted);
  Call named = call;
  named.diagnostics = DiagnosticsWish{"msg_2"};
  EXPECT_EQ(DiagnoseMiss(history_, named, nullptr), wanted) << "with the history off";
}

TEST_F(DiagnosisTest, WhoDoesNotAskIsNotTold) {
  Run(Marked(kPrompt, {10}));
  const Call call = Marked(Count(500, 50), {99});
  EXPECT_EQ(DiagnoseMiss(history_, call, &Run(call)), std::nullopt);
  EXPECT_EQ(Diagnose(call, 0, std::nullopt), std::nullopt) << "nothing to compare yet";
}

TEST(DiagnosticsJsonTest, HasTheVendorsShapes) {
  namespace json = boost::json;
  EXPECT_EQ(DiagnosticsJson({}), json::value(nullptr));
  const auto reason = [](Type type) {
    return DiagnosticsJson(CacheMissReason{type, 5}).at("cache_miss_reason").as_object();
  };
  for (const auto& [type, name] : {std::pair(Type::kModelChanged, "model_changed"),
                                   {Type::kToolsChanged, "tools_changed"},
                                   {Type::kSystemChanged, "system_changed"},
                                   {Type::kMessagesChanged, "messages_changed"}}) {
    EXPECT_EQ(reason(type), (json::object{{"type", name}, {"cache_missed_input_tokens", 5}}));
  }
  EXPECT_EQ(reason(Type::kPreviousMessageNotFound),
            (json::object{{"type", "previous_message_not_found"}}));
  EXPECT_EQ(reason(Type::kUnavailable), (json::object{{"type", "unavailable"}}));
}

}  // namespace
}  // namespace reprise

// Guesses at a reply change nothing of it: with and without, whatever they are and wherever they
// turn out wrong, the same text, tokens, log probabilities, endings and logits. Guessed is by the
// request's prediction here; where else guesses come from is in engine_guess_source_test.cc.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine_fixture.h"

namespace reprise {
namespace {

constexpr auto kPrediction = static_cast<size_t>(GuessSource::kPrediction);

void ExpectSame(const Reply& with, const Reply& without) {
  ASSERT_FALSE(with.failed);
  EXPECT_EQ(with.finished.reply, without.finished.reply);
  EXPECT_EQ(with.text, without.text);
  EXPECT_EQ(with.text_events, without.text_events);
  EXPECT_EQ(with.finished.logits_checksum, without.finished.logits_checksum);
  EXPECT_EQ(with.finished.reason, without.finished.reason);
  EXPECT_EQ(with.finished.stop_string, without.finished.stop_string);
  EXPECT_EQ(with.finished.completion_tokens, without.finished.completion_tokens);
  ASSERT_EQ(with.infos.size(), without.infos.size());
  const auto equal = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.token == b.token && a.logprob == b.logprob;
  };
  for (size_t i = 0; i < with.infos.size(); ++i) {
    EXPECT_TRUE(equal(with.infos[i].chosen, without.infos[i].chosen)) << i;
    EXPECT_TRUE(std::ranges::equal(with.infos[i].top, without.infos[i].top, equal)) << i;
  }
}

class EngineSpeculationTest : public EngineTest, public testing::WithParamInterface<TinyKind> {
 protected:
  void SetUp() override { kind_ = GetParam(); }
  bool guesses() const { return GetParam() != TinyKind::kRecurrent; }

  // Without measured time: how much is guessed depends on nothing but the reply.
  void StartAgain(bool speculate, Variant setup = {}) {
    setup.speculate = speculate;
    setup.clock = &manual_clock_;
    Start(setup);
  }

  // Of everything that has a say in what is sampled.
  static std::vector<GenerationRequest> Requests(size_t length, int max_tokens) {
    std::vector<GenerationRequest> requests;
    const auto add = [&](const std::function<void(GenerationRequest&)>& change) {
      const auto salt = static_cast<TokenId>(requests.size());
      requests.push_back(Request(Prompt(length + requests.size(), salt), max_tokens));
      requests.back().sampling.seed = requests.size();
      change(requests.back());
    };
    add([](auto&) {});
    add([](auto& r) { r.sampling.temperature = 1; });
    add([](auto& r) { r.sampling.temperature = 1.5F, r.sampling.top_p = 0.5F; });
    add([](auto& r) { r.sampling.temperature = 1, r.sampling.top_k = 5; });
    add([](auto& r) { r.sampling.temperature = 1, r.sampling.min_p = 0.2F; });
    add([](auto& r) { r.sampling.presence_penalty = 1; });
    add([](auto& r) { r.sampling.frequency_penalty = 0.7F, r.sampling.temperature = 0.8F; });
    add([](auto& r) { r.sampling.repetition_penalty = 1.3F; });
    add([](auto& r) { r.sampling.logit_bias = {{7, 3.0F}, {9, -50.0F}}, r.top_logprobs = 0; });
    add([](auto& r) { r.top_logprobs = 3; });
    add([](auto& r) { r.sampling.temperature = 1, r.top_logprobs = 2; });
    add([](auto& r) { r.cache = CacheUse::kNone; });
    add([](auto& r) { r.ignore_eos = false, r.sampling.temperature = 2; });
    return requests;
  }

  std::vector<std::shared_ptr<Reply>> AskAll(const std::vector<GenerationRequest>& requests) {
    std::vector<std::shared_ptr<Reply>> replies;
    for (const auto& request : requests) replies.push_back(AskAndWait(request));
    return replies;
  }
  std::vector<std::shared_ptr<Reply>> AskAtOnce(const std::vector<GenerationRequest>& requests) {
    std::vector<std::shared_ptr<Reply>> replies;
    for (const auto& request : requests) replies.push_back(Ask(request));
    for (const auto& reply : replies) reply->Wait();
    return replies;
  }
};

// A reply as it will be predicted: right, or wrong in ways that a reply leaves and comes back to.
std::vector<std::vector<TokenId>> PredictionsOf(const std::vector<TokenId>& reply) {
  std::vector<std::vector<TokenId>> predictions(6, reply);
  for (size_t i = 6; i < reply.size(); i += 7) predictions[1][i] ^= 1;  // one in seven
  for (size_t i = 4; i < reply.size(); ++i)
    predictions[2][i] = TinyModel::kTurnStart;  // from the fifth on
  predictions[3].erase(predictions[3].begin(), predictions[3].begin() + 3);
  predictions[4].insert(predictions[4].begin() + 9, {5, 6, 7, 8, 9});
  predictions[5].resize(reply.size() / 2);
  return predictions;
}

TEST_P(EngineSpeculationTest, NoGuessChangesAReplyWhateverIsSampled) {
  const auto requests = Requests(40, 60);
  StartAgain(false);
  const auto plain = AskAll(requests);
  EXPECT_EQ(SettledStats().accepted_guesses, PerGuessSource<uint64_t>{});
  StartAgain(true);
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(i);
    auto request = requests[i];
    for (const auto& prediction : PredictionsOf(plain[i]->finished.reply)) {
      request.prediction = prediction;
      Flush();  // so that nothing better is at hand
      ExpectSame(*AskAndWait(request), *plain[i]);
    }
  }
  const EngineStats stats = SettledStats();
  if (!guesses()) {
    EXPECT_EQ(stats.accepted_guesses, PerGuessSource<uint64_t>{});
    return;
  }
  EXPECT_GT(stats.accepted_guesses[kPrediction], 2000U);
  EXPECT_GT(stats.rejected_guesses[kPrediction], 100U);
}

TEST_P(EngineSpeculationTest, NoGuessChangesAReplyInABatch) {
  auto requests = Requests(30, 50);
  // n choices of one prompt
  for (uint64_t seed = 0; seed < 3; ++seed) {
    requests.push_back(requests[1]);
    requests.back().sampling.seed = 50 + seed;
  }
  StartAgain(false);
  const auto plain = AskAll(requests);
  StartAgain(true);
  for (const size_t which : {size_t{0}, size_t{1}, size_t{3}}) {
    for (size_t i = 0; i < requests.size(); ++i) {
      requests[i].prediction = PredictionsOf(plain[i]->finished.reply)[which];
    }
    const auto at_once = AskAtOnce(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      SCOPED_TRACE(i);
      ExpectSame(*at_once[i], *plain[i]);
    }
  }
}

TEST_P(EngineSpeculationTest, EndsInTheMidstOfADraftAsWithout) {
  StartAgain(false);
  const auto whole = AskAndWait(Request(Prompt(30), 60));
  std::vector<GenerationRequest> requests;
  for (const size_t at : {3U, 10U, 17U, 18U, 19U, 20U, 30U}) {
    requests.push_back(Request(Prompt(30), 60));
    requests.back().stop = {whole->text.substr(at, 2)};
    requests.push_back(Request(Prompt(30), static_cast<int>(at)));
    requests.push_back(requests.back());
    requests.back().top_logprobs = 1;
    requests.back().stop = {whole->text.substr(at, 2), whole->text.substr(at - 2, 3)};
  }
  const auto plain = AskAll(requests);
  StartAgain(true);
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(i);
    requests[i].prediction = whole->finished.reply;
    ExpectSame(*AskAndWait(requests[i]), *plain[i]);
  }
}

TEST_P(EngineSpeculationTest, DraftsAcrossEveryEdgeOfABlock) {
  std::vector<GenerationRequest> requests;
  for (size_t length = 20; length < 60; ++length) requests.push_back(Request(Prompt(length), 70));
  StartAgain(false);
  const auto plain = AskAll(requests);
  StartAgain(true);
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(i);
    Flush();
    requests[i].prediction = PredictionsOf(plain[i]->finished.reply)[i % 2];
    ExpectSame(*AskAndWait(requests[i]), *plain[i]);
    // What was published is as good as what is computed one by one.
    auto conversation = requests[i].prompt;
    conversation.insert(conversation.end(), plain[i]->finished.reply.begin(),
                        plain[i]->finished.reply.end());
    const auto next = Request(conversation, 4);
    const auto warm = AskAndWait(next);
    EXPECT_EQ(warm->started.cached_tokens, static_cast<int>(conversation.size()) - 1);
    EXPECT_EQ(ColdChecksum(next), warm->finished.logits_checksum);
  }
}

TEST_P(EngineSpeculationTest, NoGuessChangesAReplyUnderEvictionAndWhenSetAside) {
  std::vector<GenerationRequest> requests;
  for (TokenId i = 0; i < 4; ++i) requests.push_back(Request(Prompt(40, i), 150));
  StartAgain(false);
  const auto plain = AskAll(requests);
  StartAgain(true, {.blocks = 12});  // 384 tokens; four sequences want 190 each
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].prediction = PredictionsOf(plain[i]->finished.reply)[i % 2];
  }
  for (int round = 0; round < 3; ++round) {
    const auto replies = AskAtOnce(requests);
    for (size_t i = 0; i < requests.size(); ++i) ExpectSame(*replies[i], *plain[i]);
  }
  EXPECT_GT(SettledStats().cache_counters.evicted_blocks, 0U);
  if (guesses()) {
    EXPECT_GT(SettledStats().preempted, 0U);
  }
}

TEST_P(EngineSpeculationTest, NoGuessChangesAReplyWithAnyInstructionSet) {
  auto request = Request(Prompt(60), 40);
  request.sampling.temperature = 0.7F;
  for (const Compute compute : {Compute::kFast, Compute::kExact}) {
    for (const Isa isa : OfferedIsas()) {
      SCOPED_TRACE(IsaName(isa));
      StartAgain(false, {.isa = isa, .compute = compute});
      const auto plain = AskAndWait(request);
      StartAgain(true, {.isa = isa, .compute = compute, .threads = 2});
      auto predicted = request;
      predicted.prediction = PredictionsOf(plain->finished.reply)[1];
      ExpectSame(*AskAndWait(predicted), *plain);
      ExpectSame(*AskAndWait(request), *plain);
    }
  }
}

TEST_P(EngineSpeculationTest, PredictionsAreCounted) {
  StartAgain(true);
  auto request = Request(Prompt(50), 40);
  request.cache = CacheUse::kNone;
  const auto reply = AskAndWait(request)->finished.reply;
  const int all = guesses() ? 40 : 0;
  request.prediction = reply;
  const auto right = AskAndWait(request)->finished;
  EXPECT_EQ(right.accepted_prediction_tokens, all);
  EXPECT_EQ(right.rejected_prediction_tokens, 0);
  request.prediction = PredictionsOf(reply)[2];
  const auto wrong = AskAndWait(request)->finished;
  EXPECT_EQ(wrong.accepted_prediction_tokens, guesses() ? 4 : 0);
  const EngineStats stats = SettledStats();
  EXPECT_EQ(stats.rejected_guesses[kPrediction],
            static_cast<uint64_t>(wrong.rejected_prediction_tokens));
  EXPECT_EQ(wrong.rejected_prediction_tokens > 0, guesses());
  EXPECT_LT(wrong.rejected_prediction_tokens, 16);
}

INSTANTIATE_TEST_SUITE_P(All, EngineSpeculationTest, testing::ValuesIn(kTinyKinds),
                         [](const auto& kind) { return std::string(TinyKindName(kind.param)); });

}  // namespace
}  // namespace reprise

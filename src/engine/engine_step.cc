// A step of the engine: who is admitted, the forward pass, and what its logits bring.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/common_tokens.h"
#include "base/trace.h"
#include "cache/scope.h"
#include "engine/engine_thread.h"
#include "generation/usage.h"

namespace reprise {
namespace {

double Milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

void EngineThread::CountAdmitted(const Sequence& sequence) {
  const auto count = [&](auto& counters) {
    ++counters.requests;
    counters.hits += IsHit(sequence.prompt_size(), sequence.cached_tokens);
    counters.prompt_tokens += sequence.prompt_size();
    counters.cached_tokens += sequence.cached_tokens;
  };
  count(counters_);
  count(tenants_[TenantOf(sequence.request.scope)]);
}

void EngineThread::Admit() {
  TraceScope trace("look up and admit");
  scheduler_.Admit([this](Sequence& sequence) {
    if (Tracing()) TraceBar("wait", sequence.submitted, sequence.admitted);
    CountAdmitted(sequence);
    StartedEvent event{.prompt_tokens = static_cast<int>(sequence.prompt_size()),
                       .cached_tokens = static_cast<int>(sequence.cached_tokens),
                       .breakpoints = sequence.breakpoints,
                       .known_tokens = static_cast<int>(sequence.known_tokens),
                       .saved_seconds = scheduler_.SecondsToCompute(sequence.cached_tokens)};
    if (sequence.cached_tokens >= Sum(sequence.below.read)) event.stored = sequence.below.read;
    event.missed = sequence.below.missed;
    counters_.stored_tokens += Sum(event.stored);
    if (const auto& lost = sequence.lost) {
      event.lost = {lost->cause, sequence.admitted - lost->when, lost->for_whom};
    }
    sequence.sink(std::move(event));
  });
}

void EngineThread::Step() {
  if (scheduler_.waiting() > 0) {
    Admit();
    Publish();  // who runs, before a step that may take long
  }
  const size_t admitted = scheduler_.running();
  FinishSatisfied();
  BeginWhollyRead();
  const std::vector<Scheduler::Share>& plan = scheduler_.Plan();
  idles_ = plan.empty() && scheduler_.running() == admitted;
  if (plan.empty()) return;

  const TimePoint begin = clock_->Now();
  bool prefills = false;
  for (const Scheduler::Share& share : plan) {
    const size_t prompt = share.sequence->prompt_size();
    const size_t done = share.sequence->computed;
    if (done < prompt) {
      prefills = true;
      const size_t computed = std::min(share.rows, prompt - done);
      counters_.computed_tokens += computed;
      if (WorkDone* work = share.sequence->request.work.get()) {
        work->computed += static_cast<int>(computed);
      }
    }
  }
  ForwardPlan(plan);
  if (!hidden_rows_.empty()) Pool(plan);
  scheduler_.Advance();
  std::vector<SequenceId> ended;
  size_t row = 0;
  const size_t vocabulary = static_cast<size_t>(model_->config().vocabulary);
  for (const Scheduler::Share& share : plan) {
    if (!share.wants_logits) continue;
    const size_t rows = 1 + share.guesses;
    const std::span<const float> logits(logits_.data() + row * vocabulary, rows * vocabulary);
    row += rows;
    Sequence& sequence = *share.sequence;
    if (sequence.publishes() && sequence.tokens.size() == sequence.prompt_size()) {
      ends_.Keep(sequence.request.scope, sequence.request.prompt, logits.first(vocabulary));
    }
    Verify(share, logits);
    if (sequence.ending) ended.push_back(sequence.id);
  }
  for (SequenceId id : ended) Finish(id);
  FinishSatisfied();
  ++counters_.steps;
  const Duration took = clock_->Now() - begin;
  scheduler_.Observe(took);
  const double seconds = Milliseconds(took) / 1e3;
  (prefills ? counters_.prefill_seconds : counters_.decode_seconds) += seconds;
}

void EngineThread::ForwardPlan(const std::vector<Scheduler::Share>& plan) {
  TraceScope trace("forward");
  batch_tokens_.clear();
  batch_spans_.clear();
  logit_rows_.clear();
  hidden_rows_.clear();
  for (const Scheduler::Share& share : plan) {
    const Sequence& sequence = *share.sequence;
    const auto first = sequence.tokens.begin() + static_cast<std::ptrdiff_t>(sequence.computed);
    batch_spans_.push_back({.first_row = static_cast<int>(batch_tokens_.size()),
                            .rows = static_cast<int>(share.rows + share.guesses),
                            .first_position = static_cast<int>(sequence.computed),
                            .blocks = sequence.block_data,
                            .state = sequence.state.empty() ? nullptr : sequence.state.data()});
    batch_tokens_.insert(batch_tokens_.end(), first,
                         first + static_cast<std::ptrdiff_t>(share.rows));
    batch_tokens_.insert(
        batch_tokens_.end(), sequence.draft.tokens.begin(),
        sequence.draft.tokens.begin() + static_cast<std::ptrdiff_t>(share.guesses));
    if (share.wants_logits) {
      for (size_t row = batch_tokens_.size() - share.guesses; row <= batch_tokens_.size(); ++row) {
        logit_rows_.push_back(static_cast<int>(row) - 1);
      }
    }
    if (!sequence.request.pooling) continue;
    const size_t last = batch_tokens_.size();
    const bool all = sequence.request.pooling == Pooling::kMean;
    const bool to_the_end = sequence.computed + share.rows == sequence.prompt_size();
    for (size_t row = last - share.rows; row < last; ++row) {
      if (all || (to_the_end && row + 1 == last)) hidden_rows_.push_back(static_cast<int>(row));
    }
  }
  if (Tracing()) {
    trace.Describe(fmt::format("{} rows of {} sequences", batch_tokens_.size(), plan.size()));
  }
  logits_.resize(logit_rows_.size() * static_cast<size_t>(model_->config().vocabulary));
  hidden_.resize(hidden_rows_.size() * static_cast<size_t>(model_->config().hidden));
  model_->Forward({.tokens = batch_tokens_,
                   .sequences = batch_spans_,
                   .logit_rows = logit_rows_,
                   .hidden_rows = hidden_rows_},
                  logits_.data(), hidden_.data());
}

void EngineThread::Pool(const std::vector<Scheduler::Share>& plan) {
  const auto columns = static_cast<size_t>(model_->config().hidden);
  size_t first = 0;  // row of the share in the batch
  size_t next = 0;   // of hidden_rows_
  for (const Scheduler::Share& share : plan) {
    const size_t end = first + share.rows + share.guesses;
    for (; next < hidden_rows_.size() && static_cast<size_t>(hidden_rows_[next]) < end; ++next) {
      std::vector<double>& pooled = share.sequence->pooled;
      pooled.resize(columns);
      const float* row = hidden_.data() + next * columns;
      for (size_t i = 0; i < columns; ++i) pooled[i] += static_cast<double>(row[i]);
    }
    first = end;
  }
}

namespace {

// Under which name an embedding is remembered: the scope, and how it was pooled.
std::string PooledScope(const GenerationRequest& request) {
  return request.scope + (request.pooling == Pooling::kMean ? "\nmean" : "\nlast");
}

}  // namespace

std::vector<float> EngineThread::EmbeddingOf(const Sequence& sequence) {
  double squares = 0;
  for (const double value : sequence.pooled) squares += value * value;
  const double length = squares > 0 ? std::sqrt(squares) : 1;
  std::vector<float> embedding(sequence.pooled.size());
  for (size_t i = 0; i < embedding.size(); ++i) {
    embedding[i] = static_cast<float>(sequence.pooled[i] / length);
  }
  if (sequence.publishes()) {
    embeddings_.Keep(PooledScope(sequence.request), sequence.request.prompt, embedding);
  }
  return embedding;
}

bool EngineThread::AnswerEmbedding(SubmitMessage& message) {
  const GenerationRequest& request = message.request;
  if (request.cache == CacheUse::kNone) return false;
  const PromptEnds::Logits known = embeddings_.Find(PooledScope(request), request.prompt);
  if (known == nullptr) return false;
  CountEnded(request);
  const auto tokens = static_cast<int>(request.prompt.size());
  message.sink(
      StartedEvent{.prompt_tokens = tokens, .cached_tokens = tokens, .known_tokens = tokens});
  FinishedEvent event;
  event.reason = FinishReason::kLength;
  event.prompt_tokens = event.cached_tokens = tokens;
  event.embedding = *known;
  message.sink(std::move(event));
  return true;
}

std::optional<TokenId> EngineThread::ChooseToken(Sequence& sequence,
                                                 std::span<const float> logits) {
  TokenConstraint* constraint = sequence.request.constraint.get();
  const auto take_forced = [&] {
    const std::vector<TokenId> forced = constraint->TakeForced();
    sequence.forced.insert(sequence.forced.end(), forced.begin(), forced.end());
  };
  if (constraint != nullptr && sequence.completion_tokens == 0) take_forced();
  if (!sequence.forced.empty()) {
    const TokenId token = sequence.forced.front();
    sequence.forced.pop_front();
    sequence.sampler.Note(token);
    return token;
  }
  std::span<const uint32_t> mask;
  if (constraint != nullptr) {
    const Result<std::span<const uint32_t>> allowed = constraint->Mask();
    if (!allowed) {
      sequence.ending = {.error = allowed.error()};
      return std::nullopt;
    }
    mask = *allowed;
  }
  const std::optional<TokenId> token = sequence.sampler.Sample(logits, mask);
  if (!token) {
    sequence.ending = {.error = Error{ErrorCode::kInternal, "the model gave no finite logit", {}}};
    return std::nullopt;
  }
  if (constraint == nullptr) return token;
  if (const Status accepted = constraint->Accept(*token); !accepted) {
    sequence.ending = {.error = accepted.error()};
    return std::nullopt;
  }
  take_forced();
  return token;
}

void EngineThread::AddToken(Sequence& sequence, TokenId token, std::string& text) {
  const GenerationRequest& request = sequence.request;
  ++sequence.completion_tokens;
  ++counters_.generated_tokens;
  if (WorkDone* work = request.work.get()) ++work->generated;
  const bool may_end = !request.ignore_eos || request.constraint != nullptr;
  if (may_end && tokenizer_->IsEndOfGeneration(token)) {
    sequence.ending = {.reason = FinishReason::kStop};
    return;
  }
  sequence.tokens.push_back(token);
  // A control token has no text of its own that a reader should see.
  const bool silent =
      tokenizer_->IsControl(token) &&
      std::ranges::find(request.shown_control, token) == request.shown_control.end();
  text += sequence.text.Push(silent ? std::string_view{} : tokenizer_->Piece(token));
  const int most = request.max_tokens.value_or(max_sequence_tokens_);
  if (sequence.completion_tokens >= most ||
      sequence.tokens.size() >= static_cast<size_t>(max_sequence_tokens_)) {
    sequence.ending = {.reason = FinishReason::kLength};
  } else if (request.constraint != nullptr && sequence.forced.empty() &&
             request.constraint->complete()) {
    sequence.ending = {.reason = FinishReason::kStop};
  }
}

void EngineThread::Continue(Sequence& sequence, std::span<const float> logits) {
  TraceScope trace("sample");
  if (options_.checksum_logits) sequence.checksum = ChecksumLogits(sequence.checksum, logits);
  const std::optional<TokenId> token = ChooseToken(sequence, logits);
  if (!token) return;
  if (sequence.completion_tokens == 0) sequence.first_token = clock_->Now();
  std::string text;
  const size_t before = sequence.tokens.size();
  AddToken(sequence, *token, text);
  if (sequence.request.top_logprobs >= 0) {
    // One a step: those that are forced have log probabilities too.
    if (sequence.tokens.size() > before) {
      sequence.held_infos.push_back(Logprobs(logits, *token, sequence.request.top_logprobs));
    }
  } else {
    while (!sequence.ending && !sequence.text.stopped() && !sequence.forced.empty()) {
      const TokenId next = sequence.forced.front();
      sequence.forced.pop_front();
      sequence.sampler.Note(next);
      AddToken(sequence, next, text);
    }
  }
  if (sequence.ending && !sequence.text.stopped()) text += sequence.text.Finish();
  if (const auto& stop = sequence.text.stopped()) {
    sequence.ending = {.reason = FinishReason::kStopString, .stop_string = *stop};
    sequence.held_infos.clear();  // of tokens whose text the stop string took
  }
  // Tokens are reported together with the text that they make certain, at the latest at the end.
  if (!text.empty() || (sequence.ending && !sequence.held_infos.empty())) {
    sequence.sink(TextEvent{std::move(text), std::exchange(sequence.held_infos, {})});
  }
}

void EngineThread::Verify(const Scheduler::Share& share, std::span<const float> logits) {
  Sequence& sequence = *share.sequence;
  const std::span<const TokenId> draft =
      std::span<const TokenId>(sequence.draft.tokens).first(share.guesses);
  const size_t vocabulary = logits.size() / (1 + draft.size());
  size_t accepted = 0;
  for (bool goes_on = true; goes_on;) {
    const size_t before = sequence.tokens.size();
    Continue(sequence, logits.subspan(accepted * vocabulary, vocabulary));
    // One token, or several where a grammar forces some.
    const std::span<const TokenId> added =
        std::span<const TokenId>(sequence.tokens).subspan(before);
    const size_t common = CommonTokens(added, draft.subspan(accepted));
    accepted += common;
    goes_on = !sequence.ending && common == added.size();
    if (!sequence.ending) scheduler_.Accept(sequence, common);
  }
  if (draft.empty()) return;
  const size_t rejected = draft.size() - accepted;
  const GuessKind kind = sequence.draft.kind;
  const auto source = static_cast<size_t>(SourceOf(kind));
  counters_.accepted_guesses[source] += accepted;
  counters_.rejected_guesses[source] += rejected;
  if (SourceOf(kind) == GuessSource::kPrediction) {
    sequence.rejected_prediction_tokens += static_cast<int>(rejected);
  }
  sequence.guesses.record(kind).Learn(accepted, rejected > 0 && !sequence.ending);
}

void EngineThread::BeginWhollyRead() {
  for (Sequence* sequence : scheduler_.WhollyRead()) {
    Continue(*sequence, *std::exchange(sequence->end, nullptr));
    if (sequence->ending) Finish(sequence->id);
  }
}

void EngineThread::FinishSatisfied() {
  for (SequenceId id : scheduler_.Satisfied()) Finish(id);
}

void EngineThread::Finish(SequenceId id) {
  std::unique_ptr<Sequence> sequence = scheduler_.Remove(id);
  CHECK(sequence != nullptr, "a sequence ends once");
  CountEnded(sequence->request);
  // A cache fill ends without having been sampled from: its limit of 0 tokens is reached.
  Sequence::Ending ending =
      std::move(sequence->ending).value_or(Sequence::Ending{.reason = FinishReason::kLength});
  if (ending.error) {
    ++counters_.failed;
    sequence->sink(FailedEvent{std::move(*ending.error)});
    return;
  }
  FinishedEvent event;
  event.reason = ending.reason;
  event.stop_string = std::move(ending.stop_string);
  event.prompt_tokens = static_cast<int>(sequence->prompt_size());
  event.cached_tokens = static_cast<int>(sequence->cached_tokens);
  event.breakpoints = std::move(sequence->breakpoints);
  event.completion_tokens = sequence->completion_tokens;
  event.reply.assign(
      sequence->tokens.begin() + static_cast<std::ptrdiff_t>(sequence->prompt_size()),
      sequence->tokens.end());
  event.logits_checksum = sequence->checksum;
  if (options_.speculate && states_ == nullptr) {
    PredictionCursor& prediction = sequence->guesses.prediction();
    prediction.Follow(event.reply);
    event.accepted_prediction_tokens = static_cast<int>(prediction.followed_tokens());
    event.rejected_prediction_tokens = sequence->rejected_prediction_tokens;
  }
  if (sequence->request.pooling) event.embedding = EmbeddingOf(*sequence);
  const TimePoint now = clock_->Now();
  const TimePoint first = sequence->completion_tokens > 0 ? sequence->first_token : now;
  event.queue_ms = Milliseconds(sequence->admitted - sequence->submitted);
  event.prefill_ms = Milliseconds(first - sequence->admitted);
  event.decode_ms = Milliseconds(now - first);
  sequence->sink(std::move(event));
}

}  // namespace reprise

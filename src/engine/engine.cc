#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"
#include "engine/scheduler.h"

namespace reprise {
namespace {

double Milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// Prompt and reply: the context, or what the arena holds if that is less.
int LongestSequence(const Model& model, const BlockPool& pool, int context) {
  const size_t arena = pool.block_count() * static_cast<size_t>(model.kv_layout().block_tokens);
  const int wanted = std::max(context > 0 ? context : model.config().context, 1);
  return static_cast<int>(std::min(arena, static_cast<size_t>(wanted)));
}

// Attending to one key, in products of one row: 4 multiplications and additions for each element of
// q, in bf16 at half the speed of the products' int8, beside 2 for each weight.
double CostPerKey(const ModelConfig& config) {
  const double attended = config.heads * config.head_dim;
  const double kv = config.kv_heads * config.head_dim;
  const double weights =
      config.hidden * (2 * attended + 2 * kv + 3.0 * static_cast<double>(config.feed_forward));
  return 2 * 4 * attended / (2 * weights);
}

// What promises hold is nobody's to evict. So it is never more than leaves the longest sequence
// its blocks: whoever is admitted can end, and who waits, waits for running ones only.
PrefixCache::Options CacheOptions(const Model& model, const BlockPool& pool,
                                  const EngineOptions& options, int longest) {
  const auto block_tokens = static_cast<size_t>(model.kv_layout().block_tokens);
  const size_t spare =
      pool.block_count() - (static_cast<size_t>(longest) + block_tokens - 1) / block_tokens;
  const size_t wanted =
      options.pin_bytes ? *options.pin_bytes / pool.block_bytes() : pool.block_count() / 2;
  PrefixCache::Options cache;
  cache.block_tokens = model.kv_layout().block_tokens;
  cache.retention = options.retention;
  cache.pin_blocks = std::min(wanted, spare);
  if (options.pin_bytes_per_scope > 0) {
    cache.pin_blocks_per_scope =
        std::max<size_t>(options.pin_bytes_per_scope / pool.block_bytes(), 1);
  }
  return cache;
}

class EngineThread final : public Engine {
 public:
  EngineThread(std::unique_ptr<Model> model, std::shared_ptr<const Tokenizer> tokenizer,
               const Clock* clock, EngineOptions options, std::unique_ptr<BlockPool> pool);
  ~EngineThread() override;

  SequenceId Submit(GenerationRequest request, EventSink sink) override;
  void Cancel(SequenceId id) override;
  void Flush(std::function<void(size_t)> done) override;
  void Wake() override { Post(WakeMessage{}); }
  EngineStats stats() const override;
  const ModelConfig& model_config() const override { return model_->config(); }
  int max_sequence_tokens() const override { return max_sequence_tokens_; }

 private:
  struct SubmitMessage {
    SequenceId id;
    GenerationRequest request;
    EventSink sink;
    TimePoint submitted;
    std::optional<Error> refused;
  };
  struct CancelMessage {
    SequenceId id;
  };
  struct FlushMessage {
    std::function<void(size_t)> done;
  };
  struct WakeMessage {};
  using Message = std::variant<SubmitMessage, CancelMessage, FlushMessage, WakeMessage>;

  void Post(Message message);
  void Run();
  std::deque<Message> TakeMessages();
  void Receive(SubmitMessage message);
  void Receive(CancelMessage message);
  void Receive(FlushMessage message);
  void Receive(WakeMessage) {}  // Run goes on to look at the clock
  std::optional<Error> Refuse(const GenerationRequest& request) const;
  void CountEnded(const GenerationRequest& request);

  void Admit();
  void Step();
  // Runs the model over the plan; row i of logits_ is the i-th share's that wants logits.
  void ForwardPlan(const std::vector<Scheduler::Share>& plan);
  // Samples one token, and sets the sequence's ending when it was the last.
  void Continue(Sequence& sequence, std::span<const float> logits);
  // Takes an ended sequence out and reports its ending.
  void Finish(SequenceId id);
  void FinishSatisfied();
  void BeginWhollyRead();  // prompts that need no forward pass
  void Publish();          // statistics

  std::unique_ptr<Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  const Clock* clock_;
  EngineOptions options_;
  std::unique_ptr<BlockPool> pool_;
  int max_sequence_tokens_;
  PrefixCache cache_;
  PromptEnds ends_;
  Scheduler scheduler_;

  // Scratch of a step.
  std::vector<TokenId> batch_tokens_;
  std::vector<SequenceSpan> batch_spans_;
  std::vector<int> logit_rows_;
  std::vector<float> logits_;

  EngineStats counters_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Message> mailbox_;  // guarded by mutex_
  EngineStats snapshot_;         // guarded by mutex_
  bool stopping_ = false;        // guarded by mutex_

  std::atomic<uint64_t> next_id_{1};
  std::atomic<size_t> outstanding_{0};             // submitted and not yet ended
  std::atomic<size_t> outstanding_background_{0};  // of those, in the background
  std::thread thread_;
};

EngineThread::EngineThread(std::unique_ptr<Model> model, std::shared_ptr<const Tokenizer> tokenizer,
                           const Clock* clock, EngineOptions options,
                           std::unique_ptr<BlockPool> pool)
    : model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      clock_(clock),
      options_(options),
      pool_(std::move(pool)),
      max_sequence_tokens_(LongestSequence(*model_, *pool_, options.context)),
      cache_(pool_.get(), clock, CacheOptions(*model_, *pool_, options, max_sequence_tokens_)),
      ends_(limits::kPromptEndBytes),
      scheduler_(
          pool_.get(), &cache_, &ends_, clock,
          {.prefill_chunk = static_cast<size_t>(options.prefill_chunk),
           .prefill_chunk_beside_decode = static_cast<size_t>(options.prefill_chunk_beside_decode),
           .stream_pause = options.stream_pause,
           .cost_per_key = CostPerKey(model_->config())}) {
  Publish();
  thread_ = std::thread([this] { Run(); });
}

EngineThread::~EngineThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

// ---- any thread -------------------------------------------------------------------------------

void EngineThread::Post(Message message) {
  {
    std::lock_guard lock(mutex_);
    mailbox_.push_back(std::move(message));
  }
  wake_.notify_one();
}

SequenceId EngineThread::Submit(GenerationRequest request, EventSink sink) {
  const SequenceId id{next_id_++};
  SubmitMessage message{id, std::move(request), std::move(sink), clock_->Now(), std::nullopt};
  const bool background = message.request.priority == Priority::kBackground;
  if (outstanding_ >= limits::kMaxQueuedRequests ||
      (background && outstanding_background_ >= limits::kMaxQueuedBackground)) {
    // The refusal still goes through the mailbox, so that sinks run on one thread only; the
    // prompt does not, so that what waits stays bounded.
    message.request.prompt = {};
    message.refused = Error{ErrorCode::kOverloaded, "too many requests are waiting; try again", {}};
  }
  ++outstanding_;
  if (background) ++outstanding_background_;
  Post(std::move(message));
  return id;
}

void EngineThread::Cancel(SequenceId id) { Post(CancelMessage{id}); }

void EngineThread::Flush(std::function<void(size_t)> done) { Post(FlushMessage{std::move(done)}); }

EngineStats EngineThread::stats() const {
  std::lock_guard lock(mutex_);
  return snapshot_;
}

// ---- the engine thread ------------------------------------------------------------------------

std::deque<EngineThread::Message> EngineThread::TakeMessages() {
  std::unique_lock lock(mutex_);
  const auto has_news = [this] { return stopping_ || !mailbox_.empty(); };
  if (scheduler_.idle()) {
    if (const auto expiry = cache_.next_expiry()) {
      const Duration wait = std::max(*expiry - clock_->Now(), Duration::zero());
      wake_.wait_for(lock, wait, has_news);
    } else {
      wake_.wait(lock, has_news);
    }
  }
  return std::exchange(mailbox_, {});
}

void EngineThread::Run() {
  NameTraceThread("engine");
  for (;;) {
    for (Message& message : TakeMessages()) {
      std::visit([this](auto& m) { Receive(std::move(m)); }, message);
    }
    {
      std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    cache_.Expire();
    Step();
    Publish();
  }
  for (auto& sequence : scheduler_.RemoveAll()) {
    sequence->sink(FailedEvent{{ErrorCode::kCancelled, "the server is stopping", {}}});
  }
}

std::optional<Error> EngineThread::Refuse(const GenerationRequest& request) const {
  if (request.prompt.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the prompt holds no token", "prompt"};
  }
  const int vocabulary = model_->config().vocabulary;
  for (TokenId token : request.prompt) {
    if (token < 0 || token >= vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("token {} is not in the vocabulary of {}", token, vocabulary),
                   "prompt"};
    }
  }
  size_t before = 1;
  for (const Breakpoint& breakpoint : request.breakpoints) {
    if (breakpoint.tokens < before || breakpoint.tokens > request.prompt.size() ||
        breakpoint.ttl <= Duration::zero()) {
      return Error{ErrorCode::kInvalidArgument,
                   "breakpoints ascend within the prompt, each with a lifetime", "cache_control"};
    }
    before = breakpoint.tokens;
  }
  const size_t room = request.max_tokens.value_or(1) > 0 ? 1 : 0;
  const size_t longest = static_cast<size_t>(max_sequence_tokens_) - room;
  if (request.prompt.size() > longest) {
    const bool arena =
        max_sequence_tokens_ < (options_.context > 0 ? options_.context : model_->config().context);
    return Error{
        ErrorCode::kContextLengthExceeded,
        fmt::format("the prompt has {} tokens; at most {} fit {}", request.prompt.size(), longest,
                    arena ? "the cache of this server (--kv-memory)"
                          : "the context of this model beside a reply"),
        "messages"};
  }
  return std::nullopt;
}

void EngineThread::CountEnded(const GenerationRequest& request) {
  --outstanding_;
  if (request.priority == Priority::kBackground) --outstanding_background_;
}

void EngineThread::Receive(SubmitMessage message) {
  std::optional<Error> refused = std::move(message.refused);
  if (!refused) refused = Refuse(message.request);
  if (refused) {
    CountEnded(message.request);
    ++counters_.failed;
    message.sink(FailedEvent{std::move(*refused)});
    return;
  }
  scheduler_.Enqueue(std::make_unique<Sequence>(message.id, std::move(message.request),
                                                std::move(message.sink), message.submitted));
}

void EngineThread::Receive(CancelMessage message) {
  std::unique_ptr<Sequence> sequence = scheduler_.Remove(message.id);
  if (sequence == nullptr) return;
  CountEnded(sequence->request);
  ++counters_.cancelled;
  sequence->sink(FailedEvent{{ErrorCode::kCancelled, "the request was cancelled", {}}});
}

void EngineThread::Receive(FlushMessage message) {
  const size_t freed = cache_.Flush();
  ends_.Clear();
  Publish();
  message.done(freed);
}

void EngineThread::Admit() {
  TraceScope trace("look up and admit");
  scheduler_.Admit([this](Sequence& sequence) {
    if (Tracing()) TraceBar("wait", sequence.submitted, sequence.admitted);
    ++counters_.requests;
    counters_.prompt_tokens += sequence.prompt_size();
    counters_.cached_tokens += sequence.cached_tokens;
    StartedEvent event{static_cast<int>(sequence.prompt_size()),
                       static_cast<int>(sequence.cached_tokens), sequence.breakpoints};
    if (const auto& lost = sequence.lost) {
      event.lost = {lost->cause, sequence.admitted - lost->when, lost->for_whom};
    }
    sequence.sink(std::move(event));
  });
}

void EngineThread::Step() {
  if (scheduler_.waiting() > 0) Admit();
  FinishSatisfied();
  BeginWhollyRead();
  const std::vector<Scheduler::Share>& plan = scheduler_.Plan();
  if (plan.empty()) return;

  const TimePoint begin = clock_->Now();
  bool prefills = false;
  for (const Scheduler::Share& share : plan) {
    const size_t prompt = share.sequence->prompt_size();
    const size_t done = share.sequence->computed;
    if (done < prompt) {
      prefills = true;
      counters_.computed_tokens += std::min(share.rows, prompt - done);
    }
  }
  ForwardPlan(plan);
  scheduler_.Advance();
  std::vector<SequenceId> ended;
  size_t row = 0;
  const size_t vocabulary = static_cast<size_t>(model_->config().vocabulary);
  for (const Scheduler::Share& share : plan) {
    if (!share.wants_logits) continue;
    const std::span<const float> logits(logits_.data() + row++ * vocabulary, vocabulary);
    Sequence& sequence = *share.sequence;
    if (sequence.publishes() && sequence.tokens.size() == sequence.prompt_size()) {
      ends_.Keep(sequence.request.scope, sequence.request.prompt, logits);
    }
    Continue(sequence, logits);
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
  for (const Scheduler::Share& share : plan) {
    const Sequence& sequence = *share.sequence;
    const auto first = sequence.tokens.begin() + static_cast<std::ptrdiff_t>(sequence.computed);
    batch_spans_.push_back({.first_row = static_cast<int>(batch_tokens_.size()),
                            .rows = static_cast<int>(share.rows),
                            .first_position = static_cast<int>(sequence.computed),
                            .blocks = sequence.block_data});
    batch_tokens_.insert(batch_tokens_.end(), first,
                         first + static_cast<std::ptrdiff_t>(share.rows));
    if (share.wants_logits) logit_rows_.push_back(static_cast<int>(batch_tokens_.size()) - 1);
  }
  if (Tracing()) {
    trace.Describe(fmt::format("{} rows of {} sequences", batch_tokens_.size(), plan.size()));
  }
  logits_.resize(logit_rows_.size() * static_cast<size_t>(model_->config().vocabulary));
  model_->Forward({.tokens = batch_tokens_, .sequences = batch_spans_, .logit_rows = logit_rows_},
                  logits_.data());
}

void EngineThread::Continue(Sequence& sequence, std::span<const float> logits) {
  TraceScope trace("sample");
  if (options_.checksum_logits) sequence.checksum = ChecksumLogits(sequence.checksum, logits);
  const std::optional<TokenId> token = sequence.sampler.Sample(logits);
  if (!token) {
    sequence.ending = {.error = Error{ErrorCode::kInternal, "the model gave no finite logit", {}}};
    return;
  }
  if (sequence.completion_tokens++ == 0) sequence.first_token = clock_->Now();
  ++counters_.generated_tokens;
  std::string text;
  if (tokenizer_->IsEndOfGeneration(*token) && !sequence.request.ignore_eos) {
    sequence.ending = {.reason = FinishReason::kStop};
  } else {
    sequence.tokens.push_back(*token);
    if (sequence.request.top_logprobs >= 0) {
      sequence.held_infos.push_back(Logprobs(logits, *token, sequence.request.top_logprobs));
    }
    // A control token has no text of its own that a reader should see.
    const bool silent = tokenizer_->IsControl(*token);
    text = sequence.text.Push(silent ? std::string_view{} : tokenizer_->Piece(*token));
    const int most = sequence.request.max_tokens.value_or(max_sequence_tokens_);
    if (sequence.completion_tokens >= most ||
        sequence.tokens.size() >= static_cast<size_t>(max_sequence_tokens_)) {
      sequence.ending = {.reason = FinishReason::kLength};
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
  const TimePoint now = clock_->Now();
  const TimePoint first = sequence->completion_tokens > 0 ? sequence->first_token : now;
  event.queue_ms = Milliseconds(sequence->admitted - sequence->submitted);
  event.prefill_ms = Milliseconds(first - sequence->admitted);
  event.decode_ms = Milliseconds(now - first);
  sequence->sink(std::move(event));
}

void EngineThread::Publish() {
  counters_.cache = cache_.sizes();
  counters_.cache_counters = cache_.counters();
  counters_.block_bytes = pool_->block_bytes();
  counters_.block_tokens = cache_.block_tokens();
  counters_.running = scheduler_.running();
  counters_.waiting = scheduler_.waiting();
  counters_.preempted = scheduler_.preempted();
  std::lock_guard lock(mutex_);
  snapshot_ = counters_;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Start(std::unique_ptr<Model> model,
                                              std::shared_ptr<const Tokenizer> tokenizer,
                                              const Clock* clock, EngineOptions options) {
  const size_t block_bytes = model->kv_layout().block_bytes();
  const size_t block_count = options.kv_bytes / block_bytes;
  if (block_count == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("--kv-memory of {} bytes holds not one block of {} bytes",
                            options.kv_bytes, block_bytes));
  }
  if (options.prefill_chunk < 1 || options.prefill_chunk_beside_decode < 1 ||
      options.prefill_chunk > static_cast<int>(limits::kMaxStepRows)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("prefill chunks must be 1 to {}", limits::kMaxStepRows));
  }
  auto pool = BlockPool::Create(block_count, block_bytes);
  if (!pool) return std::unexpected(pool.error());
  return std::make_unique<EngineThread>(std::move(model), std::move(tokenizer), clock, options,
                                        std::move(*pool));
}

}  // namespace reprise

#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"
#include "engine/engine_thread.h"

namespace reprise {
namespace {

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
  return 2 * 4 * attended * config.kv_layers() / (2 * config.active_weights);
}

// Of a row, on a machine that has done no step yet: two operations for each weight, at 10^12 a
// second.
double AssumedSecondsPerCost(const ModelConfig& config) { return 2 * config.active_weights / 1e12; }

// What promises hold is nobody's to evict. So it is never more than leaves the longest sequence
// its blocks: whoever is admitted can end, and who waits, waits for running ones only.
PrefixCache::Options CacheOptions(const Model& model, const BlockPool& pool, BlockPool* states,
                                  const MemoryPlan& plan, const EngineOptions& options,
                                  int longest) {
  const auto block_tokens = static_cast<size_t>(model.kv_layout().block_tokens);
  const size_t spare =
      pool.block_count() - (static_cast<size_t>(longest) + block_tokens - 1) / block_tokens;
  const size_t wanted =
      options.pin_bytes ? *options.pin_bytes / pool.block_bytes() : pool.block_count() / 2;
  PrefixCache::Options cache;
  cache.block_tokens = model.kv_layout().block_tokens;
  cache.retention = options.retention;
  cache.pin_blocks = std::min(wanted, spare);
  if (cache.pin_blocks < wanted) {
    LogWarning(
        "marked prompts may hold {} MB, not {}: the longest request needs the rest of the "
        "cache (a smaller --context or a larger --kv-memory leaves them more)",
        cache.pin_blocks * pool.block_bytes() / 1'000'000, wanted * pool.block_bytes() / 1'000'000);
  }
  if (options.pin_bytes_per_tenant > 0) {
    cache.pin_blocks_per_tenant =
        std::max<size_t>(options.pin_bytes_per_tenant / pool.block_bytes(), 1);
  }
  if (states == nullptr) return cache;
  // Promises hold the same share of states, as far as sequences leave them.
  const auto share_of = [](size_t whole, size_t blocks, size_t of) {
    return static_cast<size_t>(static_cast<double>(whole) * static_cast<double>(blocks) /
                               static_cast<double>(of));
  };
  cache.states = states;
  cache.working_states = plan.working_states;
  cache.pin_snapshots = std::min(share_of(plan.state_count, cache.pin_blocks, plan.block_count),
                                 plan.state_count - plan.working_states);
  if (cache.pin_blocks_per_tenant > 0 && cache.pin_blocks > 0) {
    cache.pin_snapshots_per_tenant = std::max<size_t>(
        share_of(cache.pin_snapshots, cache.pin_blocks_per_tenant, cache.pin_blocks), 1);
  }
  return cache;
}

std::vector<BlockTier*> Pointers(const std::vector<std::unique_ptr<BlockTier>>& tiers) {
  std::vector<BlockTier*> pointers;
  pointers.reserve(tiers.size());
  for (const auto& tier : tiers) pointers.push_back(tier.get());
  return pointers;
}

}  // namespace

EngineThread::EngineThread(std::unique_ptr<Model> model, std::shared_ptr<const Tokenizer> tokenizer,
                           const Clock* clock, EngineOptions options, const MemoryPlan& plan,
                           Arenas arenas, EngineTiers below)
    : model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      clock_(clock),
      options_(options),
      pool_(std::move(arenas.blocks)),
      states_(std::move(arenas.states)),
      max_sequence_tokens_(LongestSequence(*model_, *pool_, options.context)),
      journal_(below.identity, pool_->block_count()),
      cache_(pool_.get(), clock,
             CacheOptions(*model_, *pool_, states_.get(), plan, options, max_sequence_tokens_)),
      ends_(limits::kPromptEndBytes),
      embeddings_(limits::kEmbeddingBytes),
      tiers_(std::move(below.tiers)),
      scheduler_(
          pool_.get(), &cache_, &ends_, clock,
          {.prefill_chunk = static_cast<size_t>(options.prefill_chunk),
           .prefill_chunk_beside_decode = static_cast<size_t>(options.prefill_chunk_beside_decode),
           .stream_pause = options.stream_pause,
           .cost_per_key = CostPerKey(model_->config()),
           .state_interval = plan.state_interval_tokens,
           .speculate = options.speculate,
           .longest_sequence = static_cast<size_t>(max_sequence_tokens_),
           .ends_reply = [this](TokenId token) { return tokenizer_->IsEndOfGeneration(token); }},
          {.tiers = Pointers(tiers_),
           .identity = below.identity,
           .patience = below.patience,
           .seconds_per_cost = AssumedSecondsPerCost(model_->config()),
           .wake = [this] { Wake(); },
           .state_bytes = states_ == nullptr ? 0 : states_->block_bytes()}) {
  cache_.SetListener(&journal_);
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
  tiers_.clear();
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

void EngineThread::Flush(std::function<void(Result<size_t>)> done) {
  Post(FlushMessage{std::move(done)});
}

void EngineThread::TakeSnapshot(std::function<void(EngineSnapshot)> done) {
  Post(SnapshotMessage{std::move(done)});
}

EngineStats EngineThread::stats() const {
  std::lock_guard lock(mutex_);
  return snapshot_;
}

// ---- the engine thread ------------------------------------------------------------------------

std::deque<EngineThread::Message> EngineThread::TakeMessages() {
  std::unique_lock lock(mutex_);
  const auto has_news = [this] { return stopping_ || !mailbox_.empty(); };
  const std::optional<LowerTier::RealTime> patience = scheduler_.patience();
  if (idles_ && patience) {
    // Nothing but what waits for blocks from below, of which the mailbox will tell.
    wake_.wait_until(lock, *patience, has_news);
  } else if (scheduler_.idle()) {
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
    journal_.Tell();
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
  for (TokenId token : request.prediction) {
    if (token < 0 || token >= vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("token {} is not in the vocabulary of {}", token, vocabulary),
                   "prediction"};
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
  if (message.request.pooling && AnswerEmbedding(message)) return;
  // What is longer than any reply is of no use, and is walked through.
  std::vector<TokenId>& prediction = message.request.prediction;
  prediction.resize(std::min(prediction.size(), static_cast<size_t>(max_sequence_tokens_)));
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
  embeddings_.Clear();
  Publish();
  // Whichever tier's thread is the last tells what came of all.
  struct Outcome {
    std::mutex mutex;
    Result<size_t> freed;
  };
  const auto told = [done = std::move(message.done)](Outcome* outcome) {
    done(outcome->freed);
    delete outcome;
  };
  const std::shared_ptr<Outcome> outcome(new Outcome{{}, freed}, told);
  for (const auto& tier : tiers_) {
    tier->Clear([outcome](const Status& cleared) {
      const std::lock_guard lock(outcome->mutex);
      if (!cleared) outcome->freed = std::unexpected(cleared.error());
    });
  }
}

void EngineThread::Receive(SnapshotMessage message) {
  Count();
  EngineSnapshot snapshot = {counters_, {}};
  for (auto& [name, tenant] : tenants_) tenant.cache = {.tenant = name};
  for (const TenantSizes& sizes : cache_.tenants()) tenants_[sizes.tenant].cache = sizes;
  for (const auto& [name, tenant] : tenants_) snapshot.tenants.push_back(tenant);
  message.done(std::move(snapshot));
}

void EngineThread::Receive(DescribeMessage message) {
  const TraceScope trace("describe the tree");
  message.done(cache_.Describe(message.query));
}

void EngineThread::Receive(DropMessage message) {
  const std::optional<TreeDrop> dropped = cache_.Drop(message.id);
  Publish();
  message.done(dropped);
}

void EngineThread::Receive(KeepMessage message) {
  const std::optional<TreeKeep> kept = cache_.Keep(message.id, message.ttl);
  Publish();
  message.done(kept);
}

void EngineThread::Receive(WatchMessage message) {
  const TraceScope trace("tell what is cached");
  if (message.view == BlockView::kNamesEverywhere) {
    for (const auto& tier : tiers_) tier->Watch(message.sink);
  }
  journal_.Watch(cache_, message.view, std::move(message.sink));
}

void EngineThread::Count() {
  counters_.cache = cache_.sizes();
  counters_.cache_counters = cache_.counters();
  counters_.block_bytes = pool_->block_bytes();
  counters_.block_tokens = cache_.block_tokens();
  counters_.state_bytes = states_ == nullptr ? 0 : states_->block_bytes();
  counters_.running = scheduler_.running();
  counters_.waiting = scheduler_.waiting();
  counters_.preempted = scheduler_.preempted();
  counters_.seconds_per_token = scheduler_.pace().believed_seconds_per_cost();
  counters_.seconds_per_token_and_key =
      counters_.seconds_per_token * scheduler_.pace().cost_per_key();
  counters_.ahead_seconds = scheduler_.CostAhead() * counters_.seconds_per_token;
  counters_.tiers.clear();
  for (const auto& tier : tiers_) counters_.tiers.push_back(tier->counters());
}

void EngineThread::Publish() {
  Count();
  std::lock_guard lock(mutex_);
  snapshot_ = counters_;
}

Result<std::unique_ptr<Engine>> Engine::Start(std::unique_ptr<Model> model,
                                              std::shared_ptr<const Tokenizer> tokenizer,
                                              const Clock* clock, EngineOptions options,
                                              EngineTiers below) {
  const size_t state_bytes = model->state_bytes();
  const Result<MemoryPlan> plan = PlanMemory(options.kv_bytes, model->kv_layout(), state_bytes);
  if (!plan) return std::unexpected(plan.error());
  if (options.prefill_chunk < 1 || options.prefill_chunk_beside_decode < 1 ||
      options.prefill_chunk > static_cast<int>(limits::kMaxStepRows)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("prefill chunks must be 1 to {}", limits::kMaxStepRows));
  }
  EngineThread::Arenas arenas;
  auto pool = BlockPool::Create(plan->block_count, plan->block_bytes);
  if (!pool) return std::unexpected(pool.error());
  arenas.blocks = std::move(*pool);
  if (plan->state_count > 0) {
    auto states = BlockPool::Create(plan->state_count, state_bytes);
    if (!states) return std::unexpected(states.error());
    arenas.states = std::move(*states);
  }
  return std::make_unique<EngineThread>(std::move(model), std::move(tokenizer), clock, options,
                                        *plan, std::move(arenas), std::move(below));
}

}  // namespace reprise

#include "engine/scheduler.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/common_tokens.h"
#include "base/limits.h"

namespace reprise {
namespace {

// What a prompt gets in a step beside streams at least, so that it comes to an end whatever pause
// was wished for; and what a step may cost while nothing is known of the machine.
constexpr size_t kLeastChunk = 16;
constexpr double kFirstCost = 64;

// How much of its tokens a sequence may read: all but those of which it needs logits or hidden
// states, and has not.
size_t ReadLimit(const Sequence& sequence) {
  if (sequence.request.pooling == Pooling::kMean) return 0;  // needs hidden states of all
  if (sequence.request.pooling == Pooling::kLast) return sequence.tokens.size() - 1;
  const bool needs_logits = sequence.generates() && sequence.end == nullptr;
  return needs_logits ? sequence.tokens.size() - 1 : sequence.tokens.size();
}

std::span<const TokenId> Published(const Sequence& sequence) {
  return std::span<const TokenId>(sequence.tokens).first(sequence.published);
}

bool IsBackground(const std::unique_ptr<Sequence>& sequence) { return sequence->background(); }

}  // namespace

Scheduler::Scheduler(BlockPool* pool, PrefixCache* cache, PromptEnds* ends, const Clock* clock,
                     Options options, LowerTier::Options below)
    : pool_(pool),
      cache_(cache),
      ends_(ends),
      clock_(clock),
      options_(options),
      block_tokens_(static_cast<size_t>(cache->block_tokens())),
      pace_(options.cost_per_key),
      states_(cache, options.state_interval,
              below.tiers.empty() ? StateKeeper::Below::kNothing : StateKeeper::Below::kStores),
      below_(pool, cache, &pace_, std::move(below)) {}

size_t Scheduler::BlocksFor(size_t tokens) const {
  return (tokens + block_tokens_ - 1) / block_tokens_;
}

void Scheduler::Enqueue(std::unique_ptr<Sequence> sequence) {
  // A request renews what it is going to read from its start on, however long it waits.
  if (sequence->publishes()) {
    const GenerationRequest& request = sequence->request;
    cache_->Renew(request.scope, request.prompt, sequence->submitted);
    // One that does not wait needs none.
    if (!running_.empty() || !waiting_.empty()) {
      sequence->expected_read =
          cache_->PeekReadable(request.scope, request.prompt, std::numeric_limits<size_t>::max());
    }
  }
  waiting_.push_back(std::move(sequence));
}

Sequence* Scheduler::FindRunning(SequenceId id) const {
  const auto found = std::ranges::find_if(running_, [id](const auto& s) { return s->id == id; });
  return found == running_.end() ? nullptr : found->get();
}

// ---- admission --------------------------------------------------------------------------------

// Where the two meet that share `common` tokens, for models with states.
size_t Scheduler::Meet(Sequence& owner, const Sequence& sequence, size_t common) const {
  // The same prompt is read whole, with the logits behind it.
  const bool same =
      owner.generates() && !sequence.request.pooling && owner.request.prompt == sequence.tokens;
  return states_.MeetingPlace(owner, same ? sequence.tokens.size() : common);
}

// True while a running sequence is going to publish more of this prompt than can be read now.
bool Scheduler::WaitsForPrefill(Sequence& sequence) {
  if (!sequence.publishes()) return false;
  if (sequence.waits_for) {
    const Sequence* owner = FindRunning(sequence.waits_for->owner);
    if (owner != nullptr && owner->published < sequence.waits_for->tokens) return true;
    sequence.waits_for.reset();
  }
  const size_t limit = ReadLimit(sequence);
  std::optional<size_t> cached;
  for (const auto& owner : running_) {
    if (!owner->publishes() || owner->published >= owner->prompt_size() ||
        owner->request.scope != sequence.request.scope) {
      continue;
    }
    size_t common = std::min(limit, CommonTokens(owner->request.prompt, sequence.tokens));
    if (common <= owner->published) continue;
    if (!cached) cached = cache_->PeekReadable(sequence.request.scope, sequence.tokens, limit);
    if (common <= *cached) continue;
    if (states_.active()) common = Meet(*owner, sequence, common);
    if (common <= *cached) continue;
    if (!sequence.background()) owner->urgent = true;
    sequence.waits_for = {owner->id, common};
    return true;
  }
  return false;
}

// True while blocks that it is going to read are on their way from below memory: its own, or those
// of one of `before`, which came earlier. Then it joins them.
bool Scheduler::WaitsForBlocks(Sequence& sequence, std::vector<const Sequence*>& before) {
  std::optional<size_t> cached;
  for (const Sequence* other : before) {
    if (other->request.scope != sequence.request.scope) continue;
    const size_t common = CommonTokens(other->tokens, sequence.tokens);
    if (!cached) {
      cached =
          cache_->PeekReadable(sequence.request.scope, sequence.tokens, sequence.tokens.size());
    }
    if (common >= *cached + block_tokens_) return true;
  }
  if (!below_.Holds(sequence, ReadLimit(sequence), running_.size())) return false;
  before.push_back(&sequence);
  return true;
}

std::optional<LowerTier::RealTime> Scheduler::patience() const {
  std::optional<LowerTier::RealTime> first;
  for (const auto& sequence : waiting_) {
    const auto each = LowerTier::patience(*sequence);
    if (each && (!first || *each < *first)) first = each;
  }
  return first;
}

void Scheduler::AddBlock(Sequence& sequence, BlockId block) {
  sequence.blocks.push_back(block);
  sequence.block_data.push_back(pool_->data(block));
}

bool Scheduler::TakePromptBlocks(Sequence& sequence, PrefixMatch match) {
  const size_t needed = BlocksFor(sequence.tokens.size()) - match.blocks.size();
  // Beside others, leave each of them a block to grow into.
  if (cache_->available_blocks() < needed + running_.size()) return false;
  if (!states_.Begin(sequence, match)) return false;
  for (BlockId block : match.blocks) {
    pool_->Reference(block);
    AddBlock(sequence, block);
  }
  for (size_t i = 0; i < needed; ++i) {
    const std::optional<BlockId> block = cache_->Allocate(sequence.id);
    CHECK(block.has_value(), "available blocks can be allocated");
    if (i == 0 && match.partial) pool_->Copy(*match.partial, *block);
    AddBlock(sequence, *block);
  }
  sequence.computed = match.tokens;
  if (sequence.uncomputed() > 0) sequence.end.reset();
  sequence.published = match.blocks.size() * block_tokens_;
  sequence.lease = std::move(match.lease);
  return true;
}

bool Scheduler::TryAdmit(Sequence& sequence) {
  if (!sequence.publishes()) return TakePromptBlocks(sequence, {});
  if (sequence.generates() && sequence.tokens.size() == sequence.prompt_size()) {
    sequence.end = ends_->Find(sequence.request.scope, sequence.tokens);
  }
  const size_t limit = states_.ReadLimit(sequence, ReadLimit(sequence));
  PrefixMatch match = cache_->Match(sequence.request.scope, sequence.tokens, limit);
  if (!sequence.started) {
    sequence.lost = match.lost;
    sequence.known_tokens = match.known;
  }
  const size_t whole = match.blocks.size() * block_tokens_;
  const bool partial = match.partial.has_value();
  if (TakePromptBlocks(sequence, std::move(match))) return true;
  // The block that would be copied from is held meanwhile; without it the prompt may just fit.
  if (!partial || !running_.empty()) return false;
  return TakePromptBlocks(sequence, cache_->Match(sequence.request.scope, sequence.tokens, whole));
}

void Scheduler::Begin(Sequence& sequence) {
  sequence.started = true;
  sequence.cached_tokens = sequence.computed;
  if (!states_.active()) sequence.known_tokens = sequence.computed;
  sequence.admitted = clock_->Now();
  if (!sequence.publishes()) return;
  const GenerationRequest& request = sequence.request;
  cache_->Renew(request.scope, request.prompt, sequence.submitted);  // promised since it came
  sequence.breakpoints =
      cache_->Promise(request.scope, request.prompt, request.breakpoints, sequence.submitted,
                      sequence.reservation, sequence.computed);
  below_.Promise(sequence);
}

// True: the next in line does not fit, and nobody before it waits for blocks.
bool Scheduler::AdmitInOrder(const std::function<void(Sequence&)>& started) {
  const bool only_background =
      std::ranges::all_of(waiting_, IsBackground) && std::ranges::all_of(running_, IsBackground);
  std::vector<const Sequence*> fetching;
  for (size_t i = 0; i < waiting_.size();) {
    Sequence& sequence = *waiting_[i];
    const bool held_back = sequence.background() && !only_background;
    if (held_back || WaitsForPrefill(sequence) || WaitsForBlocks(sequence, fetching)) {
      ++i;
      continue;
    }
    // First come, first served: nobody overtakes who waits for memory.
    if (running_.size() >= limits::kMaxRunningSequences || !TryAdmit(sequence)) {
      return fetching.empty();
    }
    below_.LetGo(sequence);
    if (!sequence.started) {
      Begin(sequence);
      started(sequence);
    }
    running_.push_back(std::move(waiting_[i]));
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return false;
}

void Scheduler::Admit(const std::function<void(Sequence&)>& started) {
  // Also of those behind one that does not fit: the reader serves one after the other.
  for (const auto& sequence : waiting_) below_.Collect(*sequence);
  bool full = AdmitInOrder(started);
  if (full && running_.empty()) {
    // What was brought up for those behind it is in its way.
    for (const auto& sequence : waiting_) below_.LetGo(*sequence);
    full = AdmitInOrder(started);
  }
  CHECK(!full || !running_.empty(), "any sequence that was accepted fits alone");
}

// ---- planning ---------------------------------------------------------------------------------

size_t Scheduler::YoungestRunning() const {
  for (size_t i = running_.size(); i-- > 0;) {
    if (running_[i]->background()) return i;
  }
  return running_.size() - 1;
}

void Scheduler::SetAside(size_t running_index) {
  std::unique_ptr<Sequence> sequence = std::move(running_[running_index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(running_index));
  PublishTail(*sequence);
  below_.OfferState(*sequence);
  states_.Give(*sequence);
  sequence->expected_read = sequence->published;
  GiveBack(*sequence);
  sequence->below.next_tier = 0;
  sequence->pooled.clear();  // its rows are computed again
  waiting_.push_front(std::move(sequence));
  ++preempted_;
}

// Blocks for all of the sequence's rows. Where there are none, sets the youngest aside, be it this
// one.
void Scheduler::EnsureBlocks(Sequence& sequence) {
  while (sequence.tokens.size() > sequence.blocks.size() * block_tokens_) {
    const std::optional<BlockId> block = cache_->Allocate(sequence.id);
    if (!block) {
      CHECK(running_.size() > 1, "a sequence that runs alone fits");
      SetAside(YoungestRunning());
      return;
    }
    AddBlock(sequence, *block);
  }
}

// Streams, those that read the same blocks side by side: attention reads what they share once. A
// row each, and what grammars left no choice in as far as there is room in a step.
void Scheduler::PlanDecode() {
  size_t room = options_.prefill_chunk_beside_decode;
  for (const auto& sequence : running_) {
    if (sequence->prefilling() || sequence->uncomputed() == 0) continue;
    const size_t rows =
        states_.RowsToPlace(*sequence, 1 + std::min(sequence->uncomputed() - 1, room));
    room -= rows - 1;
    if (rows > 1) plan_cost_ += pace_.Cost(rows, sequence->computed);
    plan_.push_back({sequence.get(), rows, rows == sequence->uncomputed()});
  }
  std::ranges::stable_sort(plan_, [](const Share& a, const Share& b) {
    return std::ranges::lexicographical_compare(a.sequence->blocks, b.sequence->blocks);
  });
}

// Shares the budget, of rows and of cost: half to the oldest prompt (so that none starves), the
// rest to the shortest (so that a short one need not wait for a long one), what is left over to the
// oldest again.
void Scheduler::PlanPrefill(size_t budget, double cost) {
  std::vector<Sequence*> prompts;
  const bool background_only = std::ranges::all_of(running_, IsBackground);
  for (const auto& sequence : running_) {
    if (sequence->prefilling() && (background_only || !sequence->background())) {
      prompts.push_back(sequence.get());
    }
  }
  if (prompts.empty()) return;
  cost = std::max(cost, pace_.Cost(kLeastChunk, prompts[0]->computed));
  std::vector<size_t> rows(prompts.size(), 0);
  const auto give = [&](size_t i, size_t most, double most_cost) {
    const size_t first = prompts[i]->computed + rows[i];
    const size_t whole = states_.RowsToPlace(*prompts[i], prompts[i]->uncomputed());
    const size_t given = std::min(
        {most, budget, whole - rows[i], pace_.RowsWithin(std::min(most_cost, cost), first)});
    rows[i] += given;
    budget -= given;
    cost -= pace_.Cost(given, first);
  };
  const bool alone = prompts.size() == 1;
  give(0, alone ? budget : budget / 2, alone ? cost : cost / 2);
  std::vector<size_t> by_length(prompts.size());
  for (size_t i = 0; i < by_length.size(); ++i) by_length[i] = i;
  std::ranges::stable_sort(by_length, {}, [&](size_t i) { return prompts[i]->uncomputed(); });
  for (size_t i : by_length) {
    if (i != 0) give(i, budget, cost);
  }
  give(0, budget, cost);
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (rows[i] == 0) continue;
    Sequence& sequence = *prompts[i];
    plan_cost_ += pace_.Cost(rows[i], sequence.computed);
    const bool last = rows[i] == sequence.uncomputed();
    plan_.push_back({&sequence, rows[i], last && sequence.generates()});
  }
}

std::vector<Sequence*> Scheduler::WhollyRead() const {
  std::vector<Sequence*> sequences;
  for (const auto& sequence : running_) {
    if (sequence->end != nullptr) sequences.push_back(sequence.get());
  }
  return sequences;
}

const std::vector<Scheduler::Share>& Scheduler::Plan() {
  // Blocks first, from the beginning again after each setting aside, which moves the others.
  for (size_t i = 0; i < running_.size();) {
    const uint64_t before = preempted_;
    if (running_[i]->computed >= running_[i]->prompt_size()) EnsureBlocks(*running_[i]);
    i = preempted_ == before ? i + 1 : 0;
  }
  plan_.clear();
  plan_cost_ = 0;
  plan_guesses_ = 0;
  PlanDecode();
  PlanDrafts();
  if (plan_.empty()) {
    PlanPrefill(options_.prefill_chunk, std::numeric_limits<double>::infinity());
  } else {
    // Guesses come out of the prompts' room, so that they lengthen no pause.
    const size_t rows = std::min(options_.prefill_chunk, options_.prefill_chunk_beside_decode);
    const double cost = pace_.CostWithin(options_.stream_pause).value_or(kFirstCost);
    PlanPrefill(rows - std::min(rows, plan_guesses_), cost - static_cast<double>(plan_guesses_));
  }
  return plan_;
}

void Scheduler::Observe(Duration took) {
  pace_.Observe(plan_cost_, took);
  if (plan_cost_ > 0) return;
  size_t rows = plan_guesses_;
  for (const Share& share : plan_) rows += share.rows;
  price_.Observe(rows, took);
}

double Scheduler::SecondsToCompute(size_t tokens) const {
  return pace_.Cost(tokens, 0) * pace_.believed_seconds_per_cost();
}

double Scheduler::CostAhead() const {
  double cost = 0;
  const auto add = [&](const Sequence& sequence, size_t done) {
    const size_t prompt = sequence.prompt_size();
    if (done < prompt) cost += pace_.Cost(prompt - done, done);
  };
  for (const auto& sequence : running_) add(*sequence, sequence->computed);
  for (const auto& sequence : waiting_) {
    const size_t shared = sequence->waits_for ? sequence->waits_for->tokens : 0;
    add(*sequence, std::max(sequence->expected_read, shared));
  }
  return cost;
}

// ---- publishing and giving back ----------------------------------------------------------------

void Scheduler::Advance() {
  for (const Share& share : plan_) {
    Sequence& sequence = *share.sequence;
    const bool was_prefilling = sequence.computed < sequence.prompt_size();
    sequence.computed += share.rows;
    PublishFull(sequence);
    if (was_prefilling && sequence.computed >= sequence.prompt_size()) PublishTail(sequence);
    if (states_.AtPlace(sequence)) {
      PublishTail(sequence);
      states_.Keep(sequence);
      below_.OfferState(sequence);
      cache_->Fulfil(sequence.reservation, Published(sequence));
    }
  }
}

void Scheduler::PublishFull(Sequence& sequence) {
  if (!sequence.publishes()) return;
  const std::span<const TokenId> tokens = sequence.tokens;
  size_t first = sequence.published / block_tokens_ * block_tokens_;
  for (; first + block_tokens_ <= sequence.computed; first += block_tokens_) {
    const size_t index = first / block_tokens_;
    const BlockId block =
        cache_->Publish(sequence.request.scope, tokens.first(first + block_tokens_), first,
                        sequence.blocks[index], sequence.lease);
    const bool is_new = sequence.blocks[index] == block;
    sequence.blocks[index] = block;
    sequence.block_data[index] = pool_->data(block);
    sequence.published = first + block_tokens_;
    if (is_new) below_.Offer(sequence, index);
  }
  cache_->Fulfil(sequence.reservation, Published(sequence));
}

// Makes the rows of the last, unfilled block findable too.
void Scheduler::PublishTail(Sequence& sequence) {
  if (!sequence.publishes()) return;
  PublishFull(sequence);
  if (sequence.published >= sequence.computed) return;
  const size_t first = sequence.computed / block_tokens_ * block_tokens_;
  cache_->Publish(sequence.request.scope,
                  std::span<const TokenId>(sequence.tokens).first(sequence.computed), first,
                  sequence.blocks[first / block_tokens_], sequence.lease);
  sequence.published = sequence.computed;
  cache_->Fulfil(sequence.reservation, Published(sequence));
}

// Publishes what is computed; promises end there.
void Scheduler::Conclude(Sequence& sequence) {
  PublishTail(sequence);
  below_.OfferState(sequence);
  states_.Give(sequence);
  cache_->Conclude(sequence.reservation, Published(sequence));
  below_.Conclude(sequence, clock_->Now() - sequence.submitted);
}

void Scheduler::GiveBack(Sequence& sequence) {
  for (BlockId block : sequence.blocks) pool_->Release(block);
  sequence.blocks.clear();
  sequence.block_data.clear();
  sequence.lease.Release();
  sequence.state.Release();
  sequence.computed = 0;
  sequence.published = 0;
}

std::vector<SequenceId> Scheduler::Satisfied() const {
  std::vector<SequenceId> ids;
  for (const auto& sequence : running_) {
    if (!sequence->generates() && sequence->uncomputed() == 0) ids.push_back(sequence->id);
  }
  return ids;
}

std::unique_ptr<Sequence> Scheduler::Remove(SequenceId id) {
  const auto has_id = [id](const auto& s) { return s->id == id; };
  std::unique_ptr<Sequence> sequence;
  if (const auto found = std::ranges::find_if(running_, has_id); found != running_.end()) {
    sequence = std::move(*found);
    running_.erase(found);
    Conclude(*sequence);
    GiveBack(*sequence);
  } else if (const auto queued = std::ranges::find_if(waiting_, has_id); queued != waiting_.end()) {
    sequence = std::move(*queued);
    waiting_.erase(queued);
    sequence->reservation.Release();
    below_.LetGo(*sequence);
  }
  return sequence;
}

std::vector<std::unique_ptr<Sequence>> Scheduler::RemoveAll() {
  std::vector<std::unique_ptr<Sequence>> all;
  for (auto& sequence : running_) {
    Conclude(*sequence);
    GiveBack(*sequence);
    all.push_back(std::move(sequence));
  }
  for (auto& sequence : waiting_) {
    below_.LetGo(*sequence);
    all.push_back(std::move(sequence));
  }
  running_.clear();
  waiting_.clear();
  return all;
}

}  // namespace reprise

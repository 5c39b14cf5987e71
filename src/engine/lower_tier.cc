#include "engine/lower_tier.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace reprise {
namespace {

// A store that says nothing for this share of what computing takes stands still.
constexpr double kPatience = 0.03;

}  // namespace

LowerTier::LowerTier(BlockPool* pool, PrefixCache* cache, const StepPace* pace, Options options)
    : pool_(pool),
      cache_(cache),
      pace_(pace),
      options_(std::move(options)),
      block_tokens_(static_cast<size_t>(cache->block_tokens())) {
  for (BlockTier* tier : options_.tiers) levels_.push_back({tier});
}

std::span<const TokenId> LowerTier::BlockTokens(const Sequence& sequence, size_t index) const {
  return std::span<const TokenId>(sequence.tokens).subspan(index * block_tokens_, block_tokens_);
}

// Of its first `blocks` blocks at least.
const std::vector<BlockKey>& LowerTier::Keys(Sequence& sequence, size_t blocks) const {
  std::vector<BlockKey>& keys = sequence.below.keys;
  while (keys.size() < blocks) {
    const BlockKey parent =
        keys.empty() ? RootKey(options_.identity, sequence.request.scope) : keys.back();
    keys.push_back(ChildKey(parent, BlockTokens(sequence, keys.size())));
  }
  return keys;
}

double LowerTier::ComputeSeconds(size_t tokens, size_t first) const {
  const double cost = pace_->Cost(tokens, first);
  return cost * pace_->bulk_seconds_per_cost().value_or(options_.seconds_per_cost);
}

// ---- up ---------------------------------------------------------------------------------------

bool LowerTier::Holds(Sequence& sequence, size_t most, size_t others) {
  if (!sequence.publishes()) return false;
  Sequence::Below& below = sequence.below;
  if (below.fetch != nullptr) return true;
  for (; below.next_tier < levels_.size(); ++below.next_tier) {
    Level& level = levels_[below.next_tier];
    if (!level.given_up.expired()) continue;  // the reader stands still over that
    const size_t first =
        cache_->PeekReadable(sequence.request.scope, sequence.tokens, most) / block_tokens_;
    const size_t end = most / block_tokens_;
    if (end <= first) return false;
    // What is brought needs room like what is computed.
    const size_t needed = (sequence.tokens.size() + block_tokens_ - 1) / block_tokens_ - first;
    if (cache_->available_blocks() < needed + others) return false;
    ++below.next_tier;
    Begin(sequence, level, first, end - first);
    return true;
  }
  return false;
}

void LowerTier::Begin(Sequence& sequence, Level& level, size_t first_block, size_t blocks) {
  const std::vector<BlockKey>& keys = Keys(sequence, first_block + blocks);
  const size_t first = first_block * block_tokens_;
  const auto begin = sequence.tokens.begin() + static_cast<std::ptrdiff_t>(first);
  TierFetch::Order order;
  order.keys.assign(keys.begin() + static_cast<std::ptrdiff_t>(first_block),
                    keys.begin() + static_cast<std::ptrdiff_t>(first_block + blocks));
  order.tokens.assign(begin, begin + static_cast<std::ptrdiff_t>(blocks * block_tokens_));
  order.compute_seconds = ComputeSeconds(blocks * block_tokens_, first);
  order.on_news = options_.wake;

  Sequence::Below& below = sequence.below;
  below.first_block = below.next_block = first_block;
  if (StateParts() == 0) {
    below.lease = std::move(cache_->Match(sequence.request.scope, sequence.tokens, first).lease);
  } else {
    // K and V may be in memory further than a state.
    const std::span<const TokenId> tokens(sequence.tokens);
    const auto wanted = tokens.first((first_block + blocks) * block_tokens_);
    below.next_block = cache_->Peek(sequence.request.scope, wanted) / block_tokens_;
    below.lease = cache_->Hold(sequence.request.scope, wanted);
    below.next_part = 0;
    order.state_parts = StateParts();
    order.in_memory = below.next_block - first_block;
  }
  const std::chrono::duration<double> share(kPatience * order.compute_seconds);
  below.patience = std::max(options_.patience, std::chrono::duration_cast<Duration>(share));
  below.gives_up = std::chrono::steady_clock::now() + below.patience;
  below.progress = level.tier->progress();
  below.fetch = level.tier->Fetch(std::move(order));
}

void LowerTier::Collect(Sequence& sequence) {
  Sequence::Below& below = sequence.below;
  if (below.fetch == nullptr) return;
  Level& level = levels_[below.next_tier - 1];
  bool done = false;
  std::vector<TierFetch::Block> blocks = below.fetch->Take(done);
  bool room = true;
  for (TierFetch::Block& block : blocks) {
    room = room && TakeIn(sequence, block.get());
    level.tier->Recycle(std::move(block));
  }
  const auto now = std::chrono::steady_clock::now();
  // Its reader may be busy with others' blocks.
  const uint64_t progress = level.tier->progress();
  if (progress != below.progress) below.gives_up = now + below.patience;
  below.progress = progress;
  TierMiss miss = done ? below.fetch->miss() : TierMiss::kNone;
  if (!done && room && now >= below.gives_up) {
    level.given_up = below.fetch;
    miss = TierMiss::kSlow;
  }
  if (!done && (!room || miss == TierMiss::kSlow)) {
    below.fetch->Cancel();
    done = true;
  }
  if (!done) return;
  below.missed[level.tier->kind()] = miss;
  below.fetch.reset();
  below.state.Release();
}

bool LowerTier::TakeIn(Sequence& sequence, const std::byte* payload) {
  const Sequence::Below& below = sequence.below;
  if (StateParts() == 0 || below.next_block < below.first_block + below.fetch->state_behind()) {
    return TakeInBlock(sequence, payload);
  }
  return TakeInState(sequence, payload);
}

// The block behind the last that was taken in. False: there is no room.
bool LowerTier::TakeInBlock(Sequence& sequence, const std::byte* payload) {
  Sequence::Below& below = sequence.below;
  const std::optional<BlockId> block = cache_->Allocate(sequence.id);
  if (!block) return false;
  std::memcpy(pool_->data(*block), payload, pool_->block_bytes());
  const size_t first = below.next_block * block_tokens_;
  const std::span<const TokenId> tokens(sequence.tokens);
  const BlockId kept = cache_->Publish(sequence.request.scope, tokens.first(first + block_tokens_),
                                       first, *block, below.lease);
  const size_t from = below.next_tier - 1;
  levels_[from].not_stored.erase(kept);
  // Faster tiers did not have it.
  for (size_t i = 0; i < from; ++i) OfferTo(levels_[i], sequence, below.next_block, kept);
  pool_->Release(kept);
  ++below.next_block;
  below.read[levels_[from].tier->kind()] += block_tokens_;
  return true;
}

void LowerTier::LetGo(Sequence& sequence) {
  Sequence::Below& below = sequence.below;
  if (below.fetch != nullptr) below.fetch->Cancel();
  below.fetch.reset();
  below.state.Release();
  below.lease.Release();
}

std::optional<LowerTier::RealTime> LowerTier::patience(const Sequence& sequence) {
  if (sequence.below.fetch == nullptr) return std::nullopt;
  return sequence.below.gives_up;
}

// ---- down -------------------------------------------------------------------------------------

void LowerTier::OfferTo(Level& level, Sequence& sequence, size_t index, BlockId block) {
  const BlockUse use = {
      Keys(sequence, index + 1)[index], static_cast<uint32_t>(index), WallSecondsNow(), {}};
  if (level.tier->Offer(use, BlockTokens(sequence, index), pool_->data(block))) {
    level.not_stored.erase(block);
  } else {
    level.not_stored.insert(block);
  }
}

void LowerTier::Offer(Sequence& sequence, size_t index) {
  for (Level& level : levels_) OfferTo(level, sequence, index, sequence.blocks[index]);
}

void LowerTier::Promise(Sequence& sequence) {
  for (BreakpointOutcome& breakpoint : sequence.breakpoints) {
    const auto has_room = [&](const Level& level) {
      return level.tier->HasRoomForPromise(breakpoint.tokens / block_tokens_ + StateParts());
    };
    if (breakpoint.decision == PinDecision::kPoolFull && std::ranges::any_of(levels_, has_room)) {
      breakpoint.decision = PinDecision::kAccepted;
    }
  }
}

void LowerTier::Conclude(Sequence& sequence, Duration age) {
  if (levels_.empty() || !sequence.publishes()) return;
  const size_t blocks = std::min(sequence.published / block_tokens_, sequence.blocks.size());
  const std::vector<BlockKey>& keys = Keys(sequence, blocks);
  const WallSeconds when =
      WallSecondsNow() - std::chrono::duration_cast<std::chrono::seconds>(age).count();
  std::vector<BlockUse> uses(blocks);
  for (size_t i = 0; i < blocks; ++i) uses[i] = {keys[i], static_cast<uint32_t>(i), when, {}};
  for (const BreakpointOutcome& breakpoint : sequence.breakpoints) {
    if (!breakpoint.accepted()) continue;
    const auto ttl = std::chrono::duration_cast<std::chrono::seconds>(breakpoint.ttl).count();
    const size_t kept = std::min(breakpoint.tokens / block_tokens_, blocks);
    for (size_t i = 0; i < kept; ++i) uses[i].keep.ttl = std::max(uses[i].keep.ttl, ttl);
  }
  AddStateUses(sequence, blocks, when, uses);
  for (Level& level : levels_) {
    for (size_t i = 0; i < blocks; ++i) {
      const BlockId block = sequence.blocks[i];
      if (level.not_stored.contains(block)) OfferTo(level, sequence, i, block);
    }
    if (!uses.empty()) level.tier->Use(uses);
  }
}

}  // namespace reprise

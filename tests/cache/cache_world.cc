#include "cache_world.h"

#include <algorithm>

namespace reprise {

void HeardBlocks::OnStored(std::string_view scope, std::optional<BlockId> parent, BlockId block,
                           std::span<const TokenId> tokens) {
  Prefix prefix{std::string(scope), {}};
  if (parent) {
    ASSERT_TRUE(blocks_.contains(*parent)) << "a block behind one that was not told";
    prefix = blocks_[*parent];
  }
  EXPECT_EQ(prefix.first, scope);
  prefix.second.insert(prefix.second.end(), tokens.begin(), tokens.end());
  EXPECT_TRUE(blocks_.emplace(block, std::move(prefix)).second) << "told twice";
}

void HeardBlocks::OnRemoved(BlockId block) {
  const auto found = blocks_.find(block);
  ASSERT_NE(found, blocks_.end()) << "went, but was not told";
  const Prefix gone = found->second;
  blocks_.erase(found);
  for (const auto& [other, prefix] : blocks_) {
    const bool behind =
        prefix.first == gone.first && prefix.second.size() > gone.second.size() &&
        std::ranges::equal(std::span(prefix.second).first(gone.second.size()), gone.second);
    EXPECT_FALSE(behind) << "went before what is behind it";
  }
}

std::set<HeardBlocks::Prefix> HeardBlocks::prefixes() const {
  std::set<Prefix> prefixes;
  for (const auto& [block, prefix] : blocks_) prefixes.insert(prefix);
  EXPECT_EQ(prefixes.size(), blocks_.size()) << "the same prefix in two blocks";
  return prefixes;
}

CacheWorld::CacheWorld(Size size)
    : block_tokens_(static_cast<size_t>(size.block_tokens)),
      pool_(BlockPool::Create(size.blocks, block_tokens_ * sizeof(uint64_t)).value()),
      states_(size.states == 0 ? nullptr
                               : BlockPool::Create(size.states, sizeof(uint64_t)).value()),
      cache_(std::make_unique<PrefixCache>(
          pool_.get(), &clock_,
          PrefixCache::Options{.block_tokens = size.block_tokens,
                               .retention = kRetention,
                               .pin_blocks = size.pin_blocks,
                               .pin_blocks_per_tenant = size.pin_blocks_per_tenant,
                               .states = states_.get(),
                               .working_states = size.working_states,
                               .pin_snapshots = size.pin_snapshots,
                               .pin_snapshots_per_tenant = size.pin_snapshots_per_tenant})),
      naive_(size.blocks, block_tokens_, kRetention,
             {size.pin_blocks, size.pin_blocks_per_tenant, size.pin_snapshots,
              size.pin_snapshots_per_tenant},
             {size.states, size.working_states}),
      sequences_(size.sequences) {
  cache_->SetListener(&heard_);
}

uint64_t CacheWorld::Row(const std::string& scope, std::span<const TokenId> tokens) {
  uint64_t row = std::hash<std::string>{}(scope);
  for (const TokenId token : tokens)
    row = (row ^ static_cast<uint64_t>(token + 1)) * 0x9E3779B97F4A7C15u;
  return row;
}

void CacheWorld::WriteRow(BlockId block, size_t position, uint64_t row) {
  std::memcpy(pool_->data(block) + position % block_tokens_ * sizeof(row), &row, sizeof(row));
}

void CacheWorld::ExpectRows(const std::string& scope, std::span<const TokenId> tokens, size_t first,
                            BlockId block) {
  for (size_t i = first; i < std::min(tokens.size(), first + block_tokens_); ++i) {
    uint64_t row = 0;
    std::memcpy(&row, pool_->data(block) + (i - first) * sizeof(row), sizeof(row));
    EXPECT_EQ(row, Row(scope, tokens.first(i + 1))) << "row of token " << i;
  }
}

std::optional<BlockId> CacheWorld::Allocate() {
  const size_t available = cache_->available_blocks();
  const auto grant = naive_.Allocate();
  const auto block = cache_->Allocate();
  EXPECT_EQ(block.has_value(), grant.possible);
  EXPECT_EQ(block.has_value(), available > 0);
  if (!block || !grant.possible) return std::nullopt;
  if (grant.evicted) {
    EXPECT_EQ(block->value, grant.evicted->value) << "evicted in another order";
  }
  naive_.Take(*block);
  return block;
}

void CacheWorld::Begin(size_t slot, const std::string& scope, const Words& prompt, size_t limit,
                       Partial partial) {
  Sequence& sequence = sequences_[slot];
  sequence.running = true;
  sequence.scope = scope;
  sequence.prompt = prompt;
  naive_.Renew(scope, prompt, clock_.Now());
  cache_->Renew(scope, prompt, clock_.Now());
  auto found = naive_.Match(scope, prompt, limit, clock_.Now());
  PrefixMatch match = cache_->Match(scope, prompt, limit);
  EXPECT_EQ(match.tokens, found.tokens);
  EXPECT_EQ(match.blocks, found.blocks);
  EXPECT_EQ(match.partial, found.partial);
  EXPECT_EQ(match.partial_tokens, found.partial_tokens);
  EXPECT_EQ(match.known,
            naive_.Peek(scope, {prompt.begin(), prompt.begin() + std::min(limit, prompt.size())}));
  if (states_ != nullptr) TakeState(sequence, std::move(match.state), found.state);

  size_t tokens = match.blocks.size() * block_tokens_;
  for (const BlockId block : match.blocks) {
    pool_->Reference(block);
    naive_.Reference(block);
  }
  sequence.table = std::move(match.blocks);
  sequence.published_blocks = sequence.table.size();
  sequence.published = sequence.table.size() * block_tokens_;
  sequence.lease = std::move(match.lease);
  sequence.naive_lease = found.lease;
  if (match.partial) {
    sequence.partial = *match.partial;
    sequence.partial_first = tokens;
    sequence.partial_prefix = Words(prompt.begin(), prompt.begin() + match.tokens);
    sequence.partial_lease = std::move(match.partial_lease);
    sequence.naive_partial_lease = found.partial_lease;
    if (const auto own = Allocate()) {
      std::memcpy(pool_->data(*own), pool_->data(*match.partial),
                  match.partial_tokens * sizeof(uint64_t));
      sequence.table.push_back(*own);
      tokens += match.partial_tokens;
    } else {
      DropState(sequence);  // it stands behind rows that the sequence has not
    }
    if (partial == Partial::kCopyAndLetGo) LetGoPartial(slot);
  }
  sequence.tokens = Words(prompt.begin(), prompt.begin() + tokens);
  sequence.read = tokens;
}

void CacheWorld::WriteState(Sequence& sequence) {
  if (sequence.state.empty()) return;
  const uint64_t row = Row(sequence.scope, sequence.tokens);
  std::memcpy(sequence.state.data(), &row, sizeof(row));
}

void CacheWorld::TakeState(Sequence& sequence, StateReference snapshot, const Words& tokens) {
  EXPECT_EQ(snapshot.empty(), tokens.empty());
  const bool taken = naive_.TakeState(sequence.scope, tokens);
  sequence.state = cache_->TakeState(std::move(snapshot));
  EXPECT_EQ(!sequence.state.empty(), taken);
  if (sequence.state.empty()) return;
  uint64_t row = 0;
  std::memcpy(&row, sequence.state.data(), sizeof(row));
  EXPECT_EQ(row, tokens.empty() ? 0 : Row(sequence.scope, tokens)) << "a state of other tokens";
}

void CacheWorld::DropState(Sequence& sequence) {
  if (!sequence.state.empty()) naive_.GiveState();
  sequence.state.Release();
}

void CacheWorld::KeepState(size_t slot) {
  Sequence& sequence = sequences_[slot];
  if (sequence.state.empty() || sequence.tokens.empty()) return;
  Publish(slot);
  cache_->PublishState(sequence.scope, sequence.tokens, sequence.lease, sequence.state,
                       StateUse::kCopy, sequence.reservation);
  naive_.PublishState(sequence.scope, sequence.tokens, false, sequence.naive_reservation);
  Fulfil(sequence);
}

void CacheWorld::Promise(size_t slot, const std::vector<Breakpoint>& breakpoints) {
  Sequence& sequence = sequences_[slot];
  sequence.promised = true;
  sequence.naive_reservation = ++last_reservation_;
  const TimePoint start = clock_.Now();
  EXPECT_EQ(cache_->Promise(sequence.scope, sequence.prompt, breakpoints, start,
                            sequence.reservation, sequence.read),
            naive_.Accept(sequence.scope, sequence.prompt, breakpoints, start,
                          sequence.naive_reservation, sequence.read));
}

void CacheWorld::LetGoPartial(size_t slot) {
  Sequence& sequence = sequences_[slot];
  sequence.partial_prefix.clear();
  sequence.partial_lease.Release();
  naive_.ReleaseLease(sequence.naive_partial_lease);
}

bool CacheWorld::Append(size_t slot, TokenId token) {
  Sequence& sequence = sequences_[slot];
  if (sequence.tokens.size() == sequence.table.size() * block_tokens_) {
    const auto block = Allocate();
    if (!block) return false;
    sequence.table.push_back(*block);
  }
  sequence.tokens.push_back(token);
  WriteRow(sequence.table.back(), sequence.tokens.size() - 1, Row(sequence.scope, sequence.tokens));
  WriteState(sequence);
  return true;
}

void CacheWorld::PublishBlock(Sequence& sequence, size_t first) {
  const size_t end = std::min(first + block_tokens_, sequence.tokens.size());
  const Words tokens(sequence.tokens.begin(), sequence.tokens.begin() + end);
  BlockId& block = sequence.table[first / block_tokens_];
  const BlockId expected =
      naive_.Publish(sequence.scope, tokens, first, block, sequence.naive_lease, clock_.Now());
  block = cache_->Publish(sequence.scope, tokens, first, block, sequence.lease);
  EXPECT_EQ(block.value, expected.value);
  EXPECT_EQ(sequence.lease.empty(), sequence.naive_lease == 0);
}

void CacheWorld::Publish(size_t slot) {
  Sequence& sequence = sequences_[slot];
  size_t first = sequence.published_blocks * block_tokens_;
  for (; first < sequence.tokens.size(); first += block_tokens_) PublishBlock(sequence, first);
  sequence.published_blocks = sequence.tokens.size() / block_tokens_;
  sequence.published = sequence.tokens.size();
  Fulfil(sequence);
}

void CacheWorld::Fulfil(Sequence& sequence) {
  cache_->Fulfil(sequence.reservation, sequence.tokens);
  naive_.Fulfil(sequence.naive_reservation, sequence.tokens);
}

void CacheWorld::End(size_t slot, AtEnd at_end) {
  LetGoPartial(slot);
  Sequence& sequence = sequences_[slot];
  if (at_end == AtEnd::kKeepState && !sequence.state.empty() && !sequence.tokens.empty()) {
    Publish(slot);
    cache_->PublishState(sequence.scope, sequence.tokens, sequence.lease, sequence.state,
                         StateUse::kGive, sequence.reservation);
    EXPECT_TRUE(sequence.state.empty());
    naive_.PublishState(sequence.scope, sequence.tokens, true, sequence.naive_reservation);
  }
  DropState(sequence);
  const Words published(sequence.tokens.begin(), sequence.tokens.begin() + sequence.published);
  cache_->Conclude(sequence.reservation, published);
  naive_.Conclude(sequence.naive_reservation, published);
  for (const BlockId block : sequence.table) {
    pool_->Release(block);
    naive_.Release(block);
  }
  sequence.lease.Release();
  naive_.ReleaseLease(sequence.naive_lease);
  sequence = Sequence{};
}

bool CacheWorld::Run(size_t slot, const std::string& scope, const Words& prompt,
                     const std::vector<Breakpoint>& breakpoints) {
  Begin(slot, scope, prompt, prompt.size(), Partial::kCopyAndLetGo);
  Promise(slot, breakpoints);
  bool fits = true;
  while (fits && tokens(slot).size() < prompt.size()) {
    fits = Append(slot, prompt[tokens(slot).size()]);
    if (tokens(slot).size() % block_tokens_ == 0) Publish(slot);
    const auto is_here = [&](const Breakpoint& b) { return b.tokens == tokens(slot).size(); };
    if (fits && std::ranges::any_of(breakpoints, is_here)) KeepState(slot);
  }
  Publish(slot);
  return fits;
}

void CacheWorld::Expire() {
  EXPECT_EQ(cache_->Expire(), naive_.Expire(clock_.Now()));
  if (const auto next = cache_->next_expiry()) {
    EXPECT_GT(*next, clock_.Now());
  }
}

void CacheWorld::Flush() { EXPECT_EQ(cache_->Flush(), naive_.Flush()); }

void CacheWorld::Compare() {
  cache_->Check();
  const PrefixCache::Sizes sizes = cache_->sizes();
  EXPECT_EQ(sizes.free_blocks, naive_.free_blocks());
  EXPECT_EQ(sizes.cached_blocks, naive_.cached_blocks());
  EXPECT_EQ(sizes.private_blocks, sizes.total_blocks - sizes.free_blocks - sizes.cached_blocks);
  EXPECT_EQ(sizes.leased_blocks, naive_.leased_blocks());
  EXPECT_EQ(sizes.pinned_blocks, naive_.pinned_blocks());
  EXPECT_EQ(sizes.reserved_blocks, naive_.reserved_blocks());
  EXPECT_EQ(sizes.promises, naive_.promises());
  constexpr Duration k5m = std::chrono::minutes(5), k1h = std::chrono::hours(1);
  EXPECT_EQ(sizes.promises_to_5m, naive_.promises_of(Duration::zero(), k5m));
  EXPECT_EQ(sizes.promises_to_1h, naive_.promises_of(k5m, k1h));
  EXPECT_EQ(sizes.promises_beyond_1h, naive_.promises_of(k1h, Duration::max()));
  EXPECT_EQ(sizes.cached_tokens, naive_.cached_tokens());
  EXPECT_EQ(sizes.scopes, naive_.scopes());
  EXPECT_EQ(cache_->tenants(), naive_.tenants());
  EXPECT_EQ(cache_->available_blocks(), naive_.available_blocks());
  EXPECT_EQ(cache_->next_expiry(), naive_.next_expiry());
  CompareStates();
  CompareHeard();
  naive_.ForEach([this](const std::string& scope, const Words& tokens) {
    EXPECT_EQ(cache_->Peek(scope, tokens), tokens.size());
  });
  for (const Sequence& sequence : sequences_) {
    EXPECT_EQ(cache_->Peek(sequence.scope, sequence.tokens),
              naive_.Peek(sequence.scope, sequence.tokens));
    CompareBeyond(sequence);
    for (size_t i = 0; i < sequence.table.size(); ++i)
      ExpectRows(sequence.scope, sequence.tokens, i * block_tokens_, sequence.table[i]);
    if (!sequence.partial_lease.empty())
      ExpectRows(sequence.scope, sequence.partial_prefix, sequence.partial_first, sequence.partial);
  }
}

void CacheWorld::CompareHeard() {
  std::set<HeardBlocks::Prefix> whole;
  naive_.ForEach([&](const std::string& scope, const Words& tokens) {
    if (tokens.size() % block_tokens_ == 0) whole.emplace(scope, tokens);
  });
  EXPECT_EQ(heard_.prefixes(), whole);
  HeardBlocks late;
  cache_->TellFullBlocks(late);
  EXPECT_EQ(late.prefixes(), whole);
}

// Behind beginnings of its tokens, from the root on, and behind all of them from its lease on.
void CacheWorld::CompareBeyond(const Sequence& sequence) {
  for (const size_t half : {0U, 1U, 2U}) {
    const size_t known = sequence.tokens.size() * half / 2;
    const Words tokens(sequence.tokens.begin(),
                       sequence.tokens.begin() + static_cast<std::ptrdiff_t>(known));
    for (const size_t most : {size_t{3}, size_t{100}}) {
      const Lease none;
      const bool whole = known == sequence.tokens.size();
      const Words beyond =
          cache_->PeekBeyond(sequence.scope, tokens, whole ? sequence.lease : none, most);
      EXPECT_EQ(beyond.empty(), !naive_.GoesOn(sequence.scope, tokens));
      Words all = tokens;
      all.insert(all.end(), beyond.begin(), beyond.end());
      if (!beyond.empty()) {
        EXPECT_EQ(naive_.Peek(sequence.scope, all), all.size());
      }
      EXPECT_LE(beyond.size(), most);
      if (beyond.size() < most) {
        EXPECT_FALSE(naive_.GoesOn(sequence.scope, all)) << "to the end";
      }
    }
  }
}

void CacheWorld::CompareStates() {
  const PrefixCache::Sizes sizes = cache_->sizes();
  EXPECT_EQ(sizes.working_states, naive_.snapshots().working());
  EXPECT_EQ(sizes.snapshots, naive_.snapshots().all().size());
  EXPECT_EQ(sizes.pinned_snapshots, naive_.pinned_snapshots());
  EXPECT_EQ(sizes.reserved_snapshots, naive_.reserved_snapshots());
  const auto compare = [&](const std::string& scope, const Words& tokens) {
    for (size_t limit = 0; limit <= tokens.size(); ++limit)
      EXPECT_EQ(cache_->PeekReadable(scope, tokens, limit),
                naive_.PeekReadable(scope, tokens, limit));
  };
  for (const auto& snapshot : naive_.snapshots().all()) compare(snapshot.scope, snapshot.tokens);
  for (const Sequence& sequence : sequences_) compare(sequence.scope, sequence.tokens);
}

void CacheWorld::Drain() {
  for (size_t slot = 0; slot < sequences_.size(); ++slot)
    if (running(slot)) End(slot);
  Flush();
  cache_->Check();
  EXPECT_EQ(pool_->free_blocks(), pool_->block_count()) << "a block leaked";
  EXPECT_EQ(cache_->sizes().scopes, 0u);
  if (states_ == nullptr) return;
  EXPECT_EQ(states_->free_blocks(), states_->block_count()) << "a state leaked";
}

}  // namespace reprise

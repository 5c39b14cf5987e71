#pragma once

// The prefix cache said plainly: a list of cached token strings, searched from end to end. It is
// the oracle of the real one; nothing in it is fast, kept incrementally or shared with the real
// one.
//
// Works on the block ids that the real pool hands out. Counts references itself.

#include <algorithm>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "cache/breakpoint.h"
#include "cache/scope.h"
#include "cache/tenant_sizes.h"
#include "naive_snapshots.h"

namespace reprise {

class NaivePrefixCache {
 public:
  using Words = std::vector<TokenId>;
  using LeaseId = uint64_t;  // 0: empty

  struct Found {
    size_t tokens = 0;
    std::vector<BlockId> blocks;
    std::optional<BlockId> partial;
    size_t partial_tokens = 0;
    LeaseId lease = 0;
    LeaseId partial_lease = 0;
    Words state;  // the tokens before the snapshot where it ends; none: empty
  };
  struct Grant {
    bool possible = false;
    std::optional<BlockId> evicted;  // then this very block is handed out
  };

  struct Shares {  // what promises may hold
    size_t blocks = 0;
    size_t blocks_per_tenant = 0;
    size_t snapshots = 0;
    size_t snapshots_per_tenant = 0;
  };
  struct States {  // none: a model without
    size_t total = 0;
    size_t working = 0;
  };

  NaivePrefixCache(size_t total_blocks, size_t block_tokens, Duration retention, Shares shares,
                   States states)
      : total_blocks_(total_blocks),
        block_tokens_(block_tokens),
        retention_(retention),
        shares_(shares),
        has_states_(states.total > 0),
        snapshots_(states.total, states.working) {}

  Found Match(const std::string& scope, const Words& tokens, size_t limit, TimePoint now) {
    const Words wanted(tokens.begin(), tokens.begin() + std::min(limit, tokens.size()));
    Found found;
    const size_t known = Peek(scope, wanted);
    found.tokens = has_states_ ? snapshots_.Deepest(scope, wanted, known) : known;
    if (has_states_) found.state = First(wanted, found.tokens);
    snapshots_.Touch(scope, found.state);
    found.partial_tokens = found.tokens % block_tokens_;
    Entry* deepest = nullptr;
    for (size_t edge = block_tokens_; edge <= found.tokens; edge += block_tokens_) {
      deepest = Find(scope, {wanted.begin(), wanted.begin() + edge});
      found.blocks.push_back(deepest->block);
    }
    if (deepest != nullptr) found.lease = AddLease(*deepest);
    if (found.partial_tokens > 0) {
      deepest = HolderOf(scope, wanted, found.tokens, known);
      found.partial = deepest->block;
      found.partial_lease = AddLease(*deepest);
    }
    if (deepest != nullptr) Touch(*deepest, now);
    return found;
  }

  size_t PeekReadable(const std::string& scope, const Words& tokens, size_t limit) const {
    const Words wanted(tokens.begin(), tokens.begin() + std::min(limit, tokens.size()));
    const size_t known = Peek(scope, wanted);
    return has_states_ ? snapshots_.Deepest(scope, wanted, known) : known;
  }
  size_t Peek(const std::string& scope, const Words& tokens) const {
    size_t longest = 0;
    for (const Entry& entry : entries_)
      if (entry.scope == scope && !entry.superseded)
        longest = std::max(longest, Common(entry.tokens, tokens));
    return longest;
  }
  // Whether something is cached behind these tokens.
  bool GoesOn(const std::string& scope, const Words& tokens) const {
    return std::ranges::any_of(entries_, [&](const Entry& entry) {
      return entry.scope == scope && !entry.superseded && entry.tokens.size() > tokens.size() &&
             Common(entry.tokens, tokens) == tokens.size();
    });
  }

  BlockId Publish(const std::string& scope, const Words& tokens, size_t first, BlockId block,
                  LeaseId& lease, TimePoint now) {
    Entry* own = nullptr;
    for (Entry& entry : entries_)
      if (entry.block == block) own = &entry;
    Entry* covering = nullptr;  // the least that begins with all of this
    for (Entry& entry : entries_)
      if (entry.scope == scope && !entry.superseded && Edge(entry) == first &&
          StartsWith(entry.tokens, tokens) &&
          (covering == nullptr || entry.tokens < covering->tokens))
        covering = &entry;
    if (covering != nullptr && covering != own) {
      Touch(*covering, now);
      if (covering->tokens.size() == tokens.size() && Full(*covering)) {
        ++references_[covering->block];
        MoveLease(lease, covering);
        Release(block);
        return covering->block;
      }
      MoveLease(lease, Find(scope, {tokens.begin(), tokens.begin() + first}));
      return block;
    }
    if (own == nullptr) {
      own = &entries_.emplace_back();
      own->id = ++last_id_;
      own->scope = scope;
      own->block = block;
      ++references_[block];
    }
    own->tokens = tokens;
    own->superseded = false;
    Touch(*own, now);
    MoveLease(lease, own);
    for (Entry& entry : entries_)
      if (&entry != own && entry.scope == scope && Edge(entry) == first &&
          StartsWith(tokens, entry.tokens)) {
        entry.superseded = true;
        for (Promise& promise : promises_)
          if (promise.holder == entry.id) promise.holder = own->id;
      }
    DropSuperseded();
    return block;
  }

  Grant Allocate() {
    if (free_blocks() > 0) return {.possible = true, .evicted = std::nullopt};
    const Entry* oldest = Oldest();
    if (oldest == nullptr) return {};
    const BlockId evicted = oldest->block;
    Drop(*oldest);
    return {.possible = true, .evicted = evicted};
  }
  void Take(BlockId block) { references_[block] = 1; }
  void Reference(BlockId block) { ++references_[block]; }
  void Release(BlockId block) {
    if (--references_[block] == 0) references_.erase(block);
  }
  void ReleaseLease(LeaseId& lease) { MoveLease(lease, nullptr); }

  // -- Promises. Whether a breakpoint is accepted is found by trying.
  std::vector<BreakpointOutcome> Accept(const std::string& scope, const Words& prompt,
                                        const std::vector<Breakpoint>& breakpoints, TimePoint start,
                                        uint64_t reservation, size_t read = 0) {
    std::vector<BreakpointOutcome> outcomes;
    for (const Breakpoint& breakpoint : breakpoints) {
      const NaivePrefixCache before(*this);
      const size_t found = std::min(Peek(scope, prompt), has_states_ ? read : prompt.size());
      const bool lacks_snapshot = has_states_ && breakpoint.tokens <= found &&
                                  !snapshots_.Find(scope, First(prompt, breakpoint.tokens));
      TakeOn(scope, prompt, breakpoint, start, reservation, found);
      const TenantSizes tenant = Tenant(TenantOf(scope));
      PinDecision decision = PinDecision::kAccepted;
      const auto& kinds = tenant.promises_by_class;
      const size_t kept = kinds[0] + kinds[1] + kinds[2] + tenant.reserved_snapshots;
      if (tenant.pinned_blocks + tenant.reserved_blocks > shares_.blocks_per_tenant ||
          (has_states_ && kept > shares_.snapshots_per_tenant))
        decision = PinDecision::kTenantFull;
      else if (pinned_blocks() + reserved_blocks() > shares_.blocks || lacks_snapshot ||
               (has_states_ && promises() + reserved_snapshots() > shares_.snapshots))
        decision = PinDecision::kPoolFull;
      if (decision != PinDecision::kAccepted) *this = before;
      outcomes.push_back({breakpoint.tokens, breakpoint.ttl, decision});
    }
    return outcomes;
  }
  void Fulfil(uint64_t id, const Words& published) {
    if (!reservations_.contains(id)) return;
    Reservation& reservation = reservations_.at(id);
    size_t full = published.size() / block_tokens_ * block_tokens_;
    const bool ends = reservation.pending.back().tokens <= published.size() &&
                      Peek(reservation.scope, published) == published.size();
    size_t reached = ends ? published.size() : full;
    for (const Breakpoint& breakpoint : reservation.pending) {
      if (!has_states_ || breakpoint.tokens > reached ||
          snapshots_.Find(reservation.scope, First(published, breakpoint.tokens)))
        continue;
      // Nothing in a block that holds a breakpoint without its snapshot.
      full = std::min(full, (breakpoint.tokens - 1) / block_tokens_ * block_tokens_);
      reached = std::min(reached, full);
    }
    std::erase_if(reservation.pending, [&](const Breakpoint& breakpoint) {
      if (breakpoint.tokens > reached) return false;
      const size_t end = (breakpoint.tokens + block_tokens_ - 1) / block_tokens_ * block_tokens_;
      const Entry* holder = end <= full
                                ? Find(reservation.scope, First(published, end))
                                : NearestBrother(reservation.scope, published, published.size());
      Make(reservation.scope, First(published, breakpoint.tokens), *holder, breakpoint.ttl,
           reservation.start);
      return true;
    });
    std::erase_if(reservation.kept, [&](const Words& kept) { return kept.size() <= reached; });
    if (reservation.pending.empty()) {
      reservations_.erase(id);
    } else if (full > reservation.depth * block_tokens_) {
      reservation.depth = full / block_tokens_;
      reservation.holder = Find(reservation.scope, First(published, full))->id;
    }
  }
  void Conclude(uint64_t id, const Words& published) {
    if (!reservations_.contains(id)) return;
    auto& pending = reservations_.at(id).pending;
    std::erase_if(pending, [&](const auto& b) { return b.tokens > published.size(); });
    if (!pending.empty()) Fulfil(id, published);
    reservations_.erase(id);
    DropUncovered();
  }
  void Renew(const std::string& scope, const Words& prompt, TimePoint start) {
    for (Promise& promise : promises_)
      if (promise.scope == scope && StartsWith(prompt, promise.tokens) && start < promise.expires)
        promise.expires = std::max(promise.expires, start + promise.ttl);
  }

  // -- States.
  bool TakeState(const std::string& scope, const Words& snapshot) {
    return snapshots_.TakeWorking(Pinned(), snapshots_.Find(scope, snapshot));
  }
  void GiveState() { snapshots_.GiveWorking(); }
  void PublishState(const std::string& scope, const Words& tokens, bool gives, uint64_t id) {
    if (gives) snapshots_.GiveWorking();
    if (snapshots_.Find(scope, tokens)) {
      snapshots_.Touch(scope, tokens);
    } else if (gives || snapshots_.MakeRoom(Pinned())) {
      snapshots_.Add(scope, tokens);
    } else {
      return;
    }
    if (!reservations_.contains(id)) return;
    Reservation& reservation = reservations_.at(id);
    for (const Breakpoint& breakpoint : reservation.pending)
      if (breakpoint.tokens == tokens.size()) reservation.kept.insert(tokens);
  }
  const NaiveSnapshots& snapshots() const { return snapshots_; }
  size_t pinned_snapshots() const {
    return static_cast<size_t>(std::ranges::count_if(snapshots_.all(), Pinned()));
  }
  size_t reserved_snapshots() const {
    size_t sum = 0;
    for (const auto& [id, reservation] : reservations_) sum += ReservedSnapshots(reservation);
    return sum;
  }

  size_t promises() const { return promises_.size(); }
  size_t promises_of(Duration more_than, Duration at_most) const {
    return static_cast<size_t>(std::ranges::count_if(
        promises_, [&](const auto& p) { return p.ttl > more_than && p.ttl <= at_most; }));
  }
  size_t pinned_blocks() const {
    return static_cast<size_t>(
        std::ranges::count_if(entries_, [this](const Entry& entry) { return Promised(entry); }));
  }
  size_t reserved_blocks() const {
    size_t sum = 0;
    for (const auto& [id, reservation] : reservations_) sum += Reserved(reservation);
    return sum;
  }

  size_t Expire(TimePoint now) {
    size_t freed = 0;
    std::erase_if(promises_, [&](const Promise& promise) { return promise.expires <= now; });
    while (Oldest() != nullptr && now - Oldest()->last_use >= retention_) Drop(*Oldest()), ++freed;
    return freed;
  }
  std::optional<TimePoint> next_expiry() const {
    std::optional<TimePoint> next;
    if (Oldest() != nullptr) next = Oldest()->last_use + retention_;
    for (const Promise& promise : promises_)
      next = next ? std::min(*next, promise.expires) : promise.expires;
    return next;
  }
  size_t Flush() {
    promises_.clear();
    const size_t freed = DropUnheld();
    snapshots_.DropIf([pinned = Pinned()](const auto& snapshot) { return !pinned(snapshot); });
    return freed;
  }

  size_t free_blocks() const { return total_blocks_ - references_.size(); }
  size_t cached_blocks() const { return entries_.size(); }
  size_t available_blocks() const {  // by trying
    NaivePrefixCache copy(*this);
    copy.DropUnheld();
    return copy.free_blocks();
  }
  size_t leased_blocks() const {
    return static_cast<size_t>(
        std::ranges::count_if(entries_, [this](const Entry& entry) { return Held(entry); }));
  }
  size_t cached_tokens() const {
    size_t sum = 0;
    for (const Entry& entry : entries_)
      if (!entry.superseded) sum += entry.tokens.size() - Edge(entry);
    return sum;
  }
  size_t scopes() const { return Scopes().size(); }
  // Of those that have a scope, by name.
  std::vector<TenantSizes> tenants() const {
    std::set<std::string> names;
    for (const std::string& scope : Scopes()) names.insert(TenantOf(scope));
    std::vector<TenantSizes> tenants;
    for (const std::string& name : names) tenants.push_back(Tenant(name));
    return tenants;
  }
  // Calls visit(scope, tokens) for all that is findable.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Entry& entry : entries_)
      if (!entry.superseded) visit(entry.scope, entry.tokens);
  }

 private:
  struct Entry {
    uint64_t id = 0;
    std::string scope;
    Words tokens;  // all from the first one; the block holds those from Edge() on
    BlockId block;
    bool superseded = false;
    uint64_t last_tick = 0;
    TimePoint last_use;
  };

  struct Promise {
    std::string scope;
    Words tokens;  // all from the first one
    uint64_t holder = 0;
    Duration ttl{};
    TimePoint expires;
  };
  struct Reservation {
    std::string scope;
    TimePoint start;
    std::vector<Breakpoint> pending;
    std::set<Words> kept;  // snapshots behind some of them
    size_t depth = 0;      // of the holder, in blocks
    uint64_t holder = 0;   // 0: the root
  };

  static Words First(const Words& tokens, size_t count) {
    return {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count)};
  }
  static size_t Common(const Words& a, const Words& b) {
    return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  }
  static bool StartsWith(const Words& tokens, const Words& prefix) {
    return Common(tokens, prefix) == prefix.size();
  }
  size_t Edge(const Entry& entry) const {  // where its block begins
    return (entry.tokens.size() - 1) / block_tokens_ * block_tokens_;
  }
  bool Full(const Entry& entry) const { return entry.tokens.size() % block_tokens_ == 0; }

  bool IsAncestor(const Entry& above, const Entry& below) const {
    return above.scope == below.scope && !above.superseded && Full(above) &&
           above.tokens.size() < below.tokens.size() && StartsWith(below.tokens, above.tokens);
  }
  bool Held(const Entry& entry) const {
    return std::ranges::any_of(leases_, [&](const auto& lease) {
      return lease.second == entry.id || IsAncestor(entry, ById(lease.second));
    });
  }
  bool Keeps(uint64_t holder, const Entry& entry) const {
    return holder == entry.id || (holder != 0 && IsAncestor(entry, ById(holder)));
  }
  bool Promised(const Entry& entry) const {
    return std::ranges::any_of(promises_, [&](const auto& p) { return Keeps(p.holder, entry); }) ||
           std::ranges::any_of(reservations_,
                               [&](const auto& r) { return Keeps(r.second.holder, entry); });
  }
  size_t Reserved(const Reservation& reservation) const {
    const size_t end = reservation.pending.back().tokens;
    return (end + block_tokens_ - 1) / block_tokens_ - reservation.depth;
  }
  size_t ReservedSnapshots(const Reservation& reservation) const {
    return has_states_ ? reservation.pending.size() : 0;
  }
  NaiveSnapshots::Test Pinned() const {
    return [this](const NaiveSnapshots::Snapshot& snapshot) {
      for (const Promise& promise : promises_)
        if (promise.scope == snapshot.scope && promise.tokens == snapshot.tokens) return true;
      for (const auto& [id, reservation] : reservations_)
        if (reservation.scope == snapshot.scope && reservation.kept.contains(snapshot.tokens))
          return true;
      return false;
    };
  }
  // Snapshots up to which K and V are not cached any more.
  void DropUncovered() {
    snapshots_.DropIf([this, pinned = Pinned()](const NaiveSnapshots::Snapshot& snapshot) {
      return !pinned(snapshot) && Peek(snapshot.scope, snapshot.tokens) < snapshot.tokens.size();
    });
  }
  void Make(const std::string& scope, const Words& tokens, const Entry& holder, Duration ttl,
            TimePoint start) {
    for (Promise& promise : promises_) {
      if (promise.scope != scope || promise.tokens != tokens) continue;
      promise.ttl = start < promise.expires ? std::max(promise.ttl, ttl) : ttl;
      promise.expires = std::max(promise.expires, start + ttl);
      return;
    }
    promises_.push_back({scope, tokens, holder.id, ttl, start + ttl});
  }
  std::set<std::string> Scopes() const {
    std::set<std::string> scopes;
    for (const Entry& entry : entries_) scopes.insert(entry.scope);
    for (const auto& [id, reservation] : reservations_) scopes.insert(reservation.scope);
    return scopes;
  }
  TenantSizes Tenant(const std::string& name) const {
    TenantSizes sizes{.tenant = name};
    for (const std::string& scope : Scopes()) sizes.scopes += TenantOf(scope) == name;
    for (const Entry& entry : entries_) {
      if (TenantOf(entry.scope) != name) continue;
      ++sizes.cached_blocks;
      sizes.pinned_blocks += Promised(entry);
      if (!entry.superseded) sizes.cached_tokens += entry.tokens.size() - Edge(entry);
    }
    for (const auto& [id, reservation] : reservations_)
      if (TenantOf(reservation.scope) == name) {
        sizes.reserved_blocks += Reserved(reservation);
        sizes.reserved_snapshots += ReservedSnapshots(reservation);
      }
    for (const auto& snapshot : snapshots_.all())
      sizes.snapshots += TenantOf(snapshot.scope) == name;
    for (const Promise& promise : promises_) {
      if (TenantOf(promise.scope) != name) continue;
      const bool short_lived = promise.ttl <= std::chrono::minutes(5);
      ++sizes.promises_by_class[short_lived ? 0 : promise.ttl <= std::chrono::hours(1) ? 1 : 2];
    }
    return sizes;
  }
  // Promises what is cached, reserves what is not.
  void TakeOn(const std::string& scope, const Words& prompt, const Breakpoint& breakpoint,
              TimePoint start, uint64_t id, size_t found) {
    const size_t full = found / block_tokens_ * block_tokens_;
    if (breakpoint.tokens <= found) {
      const Entry* holder = HolderOf(scope, prompt, breakpoint.tokens, Peek(scope, prompt));
      return Make(scope, First(prompt, breakpoint.tokens), *holder, breakpoint.ttl, start);
    }
    Reservation& reservation = reservations_[id];
    reservation.scope = scope;
    reservation.start = start;
    reservation.pending.push_back(breakpoint);
    reservation.depth = full / block_tokens_;
    reservation.holder = full > 0 ? Find(scope, First(prompt, full))->id : 0;
  }
  size_t DropUnheld() {
    size_t freed = 0;
    while (Oldest() != nullptr) Drop(*Oldest()), ++freed;
    return freed;
  }

  bool IsLeaf(const Entry& entry) const {
    return std::ranges::none_of(entries_,
                                [&](const Entry& other) { return IsAncestor(entry, other); });
  }
  const Entry& ById(uint64_t id) const { return *std::ranges::find(entries_, id, &Entry::id); }
  const Entry* Oldest() const {
    const Entry* oldest = nullptr;
    for (const Entry& entry : entries_)
      if (!entry.superseded && IsLeaf(entry) && !Held(entry) && !Promised(entry) &&
          (oldest == nullptr || entry.last_tick < oldest->last_tick))
        oldest = &entry;
    return oldest;
  }
  Entry* Find(const std::string& scope, const Words& tokens) {
    for (Entry& entry : entries_)
      if (entry.scope == scope && !entry.superseded && entry.tokens == tokens) return &entry;
    return nullptr;
  }
  // The entry that holds the last of the first `tokens`, of which `known` or more are cached.
  Entry* HolderOf(const std::string& scope, const Words& wanted, size_t tokens, size_t known) {
    const size_t end = (tokens + block_tokens_ - 1) / block_tokens_ * block_tokens_;
    return end <= known ? Find(scope, First(wanted, end)) : NearestBrother(scope, wanted, known);
  }
  // Of the entries in the block where `common` ends that share that much: the greatest below
  // `wanted`, else the least.
  Entry* NearestBrother(const std::string& scope, const Words& wanted, size_t common) {
    const size_t edge = common / block_tokens_ * block_tokens_;
    Entry* below = nullptr;
    Entry* above = nullptr;
    for (Entry& entry : entries_) {
      if (entry.scope != scope || entry.superseded || Edge(entry) != edge) continue;
      if (Common(entry.tokens, wanted) != common) continue;
      if (entry.tokens < wanted) {
        if (below == nullptr || below->tokens < entry.tokens) below = &entry;
      } else {
        if (above == nullptr || entry.tokens < above->tokens) above = &entry;
      }
    }
    return below != nullptr ? below : above;
  }

  void Touch(Entry& used, TimePoint now) {
    ++tick_;
    for (Entry& entry : entries_) {
      if (&entry != &used && !IsAncestor(entry, used)) continue;
      entry.last_tick = tick_;
      entry.last_use = now;
    }
  }

  LeaseId AddLease(const Entry& entry) {
    leases_[++last_id_] = entry.id;
    return last_id_;
  }
  void MoveLease(LeaseId& lease, const Entry* entry) {
    leases_.erase(lease);
    lease = entry == nullptr ? 0 : AddLease(*entry);
    DropSuperseded();
  }
  void DropSuperseded() {
    std::vector<const Entry*> dropped;
    for (const Entry& entry : entries_)
      if (entry.superseded && !Held(entry)) dropped.push_back(&entry);
    for (const Entry* entry : dropped) Drop(*entry);
  }
  void Drop(const Entry& entry) {
    Release(entry.block);
    entries_.remove_if([&](const Entry& other) { return &other == &entry; });
    DropUncovered();
  }

  size_t total_blocks_;
  size_t block_tokens_;
  Duration retention_;
  Shares shares_;
  bool has_states_;
  NaiveSnapshots snapshots_;
  std::vector<Promise> promises_;
  std::map<uint64_t, Reservation> reservations_;
  std::list<Entry> entries_;
  std::map<LeaseId, uint64_t> leases_;  // to the entry's id
  std::map<BlockId, uint32_t> references_;
  uint64_t tick_ = 0;
  uint64_t last_id_ = 0;
};

}  // namespace reprise

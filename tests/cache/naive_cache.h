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
  };
  struct Grant {
    bool possible = false;
    std::optional<BlockId> evicted;  // then this very block is handed out
  };

  NaivePrefixCache(size_t total_blocks, size_t block_tokens, Duration retention)
      : total_blocks_(total_blocks), block_tokens_(block_tokens), retention_(retention) {}

  Found Match(const std::string& scope, const Words& tokens, size_t limit, TimePoint now) {
    const Words wanted(tokens.begin(), tokens.begin() + std::min(limit, tokens.size()));
    Found found;
    found.tokens = Peek(scope, wanted);
    found.partial_tokens = found.tokens % block_tokens_;
    Entry* deepest = nullptr;
    for (size_t edge = block_tokens_; edge <= found.tokens; edge += block_tokens_) {
      deepest = Find(scope, {wanted.begin(), wanted.begin() + edge});
      found.blocks.push_back(deepest->block);
    }
    if (deepest != nullptr) found.lease = AddLease(*deepest);
    if (found.partial_tokens > 0) {
      deepest = NearestBrother(scope, wanted, found.tokens);
      found.partial = deepest->block;
      found.partial_lease = AddLease(*deepest);
    }
    if (deepest != nullptr) Touch(*deepest, now);
    return found;
  }

  size_t Peek(const std::string& scope, const Words& tokens) const {
    size_t longest = 0;
    for (const Entry& entry : entries_)
      if (entry.scope == scope && !entry.superseded)
        longest = std::max(longest, Common(entry.tokens, tokens));
    return longest;
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
          StartsWith(tokens, entry.tokens))
        entry.superseded = true;
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

  size_t Expire(TimePoint now) {
    size_t freed = 0;
    while (Oldest() != nullptr && now - Oldest()->last_use >= retention_) Drop(*Oldest()), ++freed;
    return freed;
  }
  std::optional<TimePoint> next_expiry() const {
    if (Oldest() == nullptr) return std::nullopt;
    return Oldest()->last_use + retention_;
  }
  size_t Flush() {
    size_t freed = 0;
    while (Oldest() != nullptr) Drop(*Oldest()), ++freed;
    return freed;
  }

  size_t free_blocks() const { return total_blocks_ - references_.size(); }
  size_t cached_blocks() const { return entries_.size(); }
  size_t available_blocks() const {  // by trying
    NaivePrefixCache copy(*this);
    copy.Flush();
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
  size_t scopes() const {
    std::set<std::string> scopes;
    for (const Entry& entry : entries_) scopes.insert(entry.scope);
    return scopes.size();
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
  bool IsLeaf(const Entry& entry) const {
    return std::ranges::none_of(entries_,
                                [&](const Entry& other) { return IsAncestor(entry, other); });
  }
  const Entry& ById(uint64_t id) const { return *std::ranges::find(entries_, id, &Entry::id); }
  const Entry* Oldest() const {
    const Entry* oldest = nullptr;
    for (const Entry& entry : entries_)
      if (!entry.superseded && IsLeaf(entry) && !Held(entry) &&
          (oldest == nullptr || entry.last_tick < oldest->last_tick))
        oldest = &entry;
    return oldest;
  }
  Entry* Find(const std::string& scope, const Words& tokens) {
    for (Entry& entry : entries_)
      if (entry.scope == scope && !entry.superseded && entry.tokens == tokens) return &entry;
    return nullptr;
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
  }

  size_t total_blocks_;
  size_t block_tokens_;
  Duration retention_;
  std::list<Entry> entries_;
  std::map<LeaseId, uint64_t> leases_;  // to the entry's id
  std::map<BlockId, uint32_t> references_;
  uint64_t tick_ = 0;
  uint64_t last_id_ = 0;
};

}  // namespace reprise

#include "cache/promise_table.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "cache/prefix_cache.h"
#include "cache/scope.h"

namespace reprise::internal {
namespace {

size_t ClassOf(Duration ttl) {
  if (ttl <= std::chrono::minutes(5)) return 0;
  return ttl <= std::chrono::hours(1) ? 1 : 2;
}

TimePoint EndOf(TimePoint start, Duration ttl) {
  return ttl < TimePoint::max() - start ? start + ttl : TimePoint::max();
}

}  // namespace

bool PromiseTable::ByTokens::operator()(Tokens a, Tokens b) const {
  return std::ranges::lexicographical_compare(a, b);
}

PromiseTable::PromiseTable(PrefixTree* tree, SnapshotTable* snapshots, Shares blocks, Shares states)
    : tree_(tree), snapshots_(snapshots), blocks_(blocks), states_(states) {}

PromiseTable::~PromiseTable() {
  CHECK(reservations_ == 0, "no reservation outlives its cache");
  EndAll();
}

size_t PromiseTable::BlocksFor(size_t tokens) const {
  return (tokens + tree_->block_tokens() - 1) / tree_->block_tokens();
}

// ---- accepting ----------------------------------------------------------------------------------

void PromiseTable::Path::Shorten(size_t tokens, size_t block_tokens) {
  const size_t full = tokens / block_tokens;
  if (full > depth() || nodes.empty()) return;
  if (full < depth()) {
    partial = {nodes[full + 1], block_tokens};
    nodes.resize(full + 1);
  }
  partial.common = std::min(partial.common, tokens % block_tokens);
  if (partial.common == 0) partial.node = nullptr;
}

PinDecision PromiseTable::Decide(size_t cost, bool needs_snapshot, std::string_view scope) const {
  const TenantSizes* found = tree_->FindTenant(TenantOf(scope));
  const TenantSizes tenant = found == nullptr ? TenantSizes() : *found;
  const size_t of_tenant = tenant.pinned_blocks + tenant.reserved_blocks;
  const auto& promises = tenant.promises_by_class;
  const size_t snapshots_of_tenant =
      promises[0] + promises[1] + promises[2] + tenant.reserved_snapshots;
  if (cost > blocks_.per_tenant - of_tenant ||
      (needs_snapshot && snapshots_of_tenant >= states_.per_tenant)) {
    return PinDecision::kTenantFull;
  }
  const size_t used = tree_->pinned_blocks(Hold::kPromise) + reserved_blocks_;
  const bool fits = cost <= blocks_.all - used &&
                    (!needs_snapshot || by_expiry_.size() + reserved_snapshots_ < states_.all);
  return fits ? PinDecision::kAccepted : PinDecision::kPoolFull;
}

size_t PromiseTable::Cost(Tokens prompt, const Breakpoint& breakpoint, const Path& path,
                          const Reservation& reservation) const {
  const size_t block_tokens = tree_->block_tokens();
  const size_t end = BlocksFor(breakpoint.tokens);
  const bool found = breakpoint.tokens <= path.depth() * block_tokens + path.partial.common;
  if (found) {
    const size_t first = (end - 1) * block_tokens;
    if (Exists(path.nodes[end - 1], prompt.subspan(first, breakpoint.tokens - first))) return 0;
  }
  size_t cost = 0;
  for (size_t depth = std::min(end, path.depth());
       depth > 0 && !path.nodes[depth]->pinned(Hold::kPromise); --depth)
    ++cost;
  if (end <= path.depth()) return cost;
  if (found) return cost + !path.partial.node->pinned(Hold::kPromise);
  return cost + end - path.depth() - reservation.reserved_blocks_;
}

PinDecision PromiseTable::AcceptOne(std::string_view scope, Tokens prompt,
                                    const Breakpoint& breakpoint, Path& path,
                                    Reservation& reservation) {
  const size_t block_tokens = tree_->block_tokens();
  const size_t end = BlocksFor(breakpoint.tokens);
  const size_t first = (end - 1) * block_tokens;
  const Tokens behind = prompt.subspan(first, breakpoint.tokens - first);
  const bool found = breakpoint.tokens <= path.depth() * block_tokens + path.partial.common;
  const bool needs_snapshot =
      snapshots_ != nullptr && !(found && Exists(path.nodes[end - 1], behind));
  const PinDecision decision =
      Decide(Cost(prompt, breakpoint, path, reservation), needs_snapshot, scope);
  if (decision != PinDecision::kAccepted) return decision;

  if (found) {
    PrefixNode* parent = path.nodes[end - 1];
    if (snapshots_ != nullptr && snapshots_->Find(parent, behind) == nullptr) {
      return PinDecision::kPoolFull;  // went for room since it was looked up
    }
    PrefixNode* holder = end <= path.depth() ? path.nodes[end] : path.partial.node;
    Make(parent, behind, holder, breakpoint, reservation.start_);
    return decision;
  }
  if (path.nodes.empty()) path.nodes.push_back(tree_->FindOrAddRoot(scope));
  if (reservation.empty()) {
    reservation.book_ = this;
    reservation.node_ = path.nodes.back();
    tree_->Pin(reservation.node_, Hold::kPromise);
    ++reservations_;
  }
  reservation.pending_.push_back(breakpoint);
  SetReserved(reservation, end - path.depth());
  CountPending(reservation);
  return decision;
}

std::vector<BreakpointOutcome> PromiseTable::Accept(std::string_view scope, Tokens prompt,
                                                    std::span<const Breakpoint> breakpoints,
                                                    TimePoint start, Reservation& reservation,
                                                    size_t read) {
  CHECK(reservation.empty(), "a request's breakpoints are accepted once");
  Path path;
  if (PrefixNode* root = tree_->FindRoot(scope)) {
    path.nodes.push_back(root);
    path.partial =
        tree_->Descend(root, prompt, [&](PrefixNode* node) { path.nodes.push_back(node); });
    if (snapshots_ != nullptr) path.Shorten(read, tree_->block_tokens());
  }
  reservation.start_ = start;
  std::vector<BreakpointOutcome> outcomes;
  size_t before = 1;
  for (const Breakpoint& breakpoint : breakpoints) {
    CHECK(breakpoint.tokens >= before && breakpoint.tokens <= prompt.size(),
          "breakpoints ascend within the prompt");
    before = breakpoint.tokens;
    const PinDecision decision = AcceptOne(scope, prompt, breakpoint, path, reservation);
    refused_ += decision != PinDecision::kAccepted;
    outcomes.push_back({breakpoint.tokens, breakpoint.ttl, decision});
  }
  return outcomes;
}

// ---- reservations -------------------------------------------------------------------------------

void PromiseTable::SetReserved(Reservation& reservation, size_t blocks) {
  TenantSizes& tenant = *reservation.node_->root->tenant;
  tenant.reserved_blocks = tenant.reserved_blocks - reservation.reserved_blocks_ + blocks;
  reserved_blocks_ = reserved_blocks_ - reservation.reserved_blocks_ + blocks;
  reservation.reserved_blocks_ = blocks;
}

void PromiseTable::CountPending(Reservation& reservation) {
  if (snapshots_ == nullptr) return;
  TenantSizes& tenant = *reservation.node_->root->tenant;
  const size_t count = reservation.pending_.size();
  tenant.reserved_snapshots = tenant.reserved_snapshots - reservation.reserved_snapshots_ + count;
  reserved_snapshots_ = reserved_snapshots_ - reservation.reserved_snapshots_ + count;
  reservation.reserved_snapshots_ = count;
}

void PromiseTable::Keep(Reservation& reservation, size_t tokens, Snapshot* snapshot) {
  const auto is_there = [&](const Breakpoint& b) { return b.tokens == tokens; };
  const auto is_kept = [&](const auto& kept) { return kept.first == tokens; };
  if (std::ranges::none_of(reservation.pending_, is_there)) return;
  if (std::ranges::any_of(reservation.snapshots_, is_kept)) return;
  CHECK(snapshot != nullptr, "there is room for what was reserved");
  snapshots_->Pin(snapshot);
  reservation.snapshots_.emplace_back(tokens, snapshot);
}

void PromiseTable::UnpinUpTo(Reservation& reservation, size_t tokens) {
  std::erase_if(reservation.snapshots_, [&](const auto& kept) {
    if (kept.first > tokens) return false;
    snapshots_->Unpin(kept.second);
    return true;
  });
}

void PromiseTable::Fulfil(Reservation& reservation, Tokens published) {
  auto& pending = reservation.pending_;
  while (!reservation.empty()) {
    PrefixNode* node = reservation.node_;
    const size_t first = node->depth * tree_->block_tokens();
    if (published.size() <= first) return;
    const Tokens rest =
        published.subspan(first, std::min(tree_->block_tokens(), published.size() - first));
    const PrefixTree::Neighbour next = tree_->FindNearest(node, rest);
    if (next.common < rest.size()) return;  // a tail that went meanwhile
    const bool full = rest.size() == tree_->block_tokens();
    // A breakpoint inside a block that is not full is kept with the full one, which is reserved;
    // the last one needs no more of it.
    if (!full && pending.back().tokens > published.size()) return;

    const auto end =
        std::ranges::upper_bound(pending, first + rest.size(), {}, &Breakpoint::tokens);
    const auto lacks_snapshot = [&](const Breakpoint& breakpoint) {
      return snapshots_->Find(node, rest.first(breakpoint.tokens - first)) == nullptr;
    };
    if (snapshots_ != nullptr && std::any_of(pending.begin(), end, lacks_snapshot)) return;
    for (auto behind = pending.begin(); behind != end; ++behind)
      Make(node, rest.first(behind->tokens - first), next.node, *behind, reservation.start_);
    pending.erase(pending.begin(), end);
    CountPending(reservation);
    UnpinUpTo(reservation, first + rest.size());
    if (pending.empty()) return GiveUp(reservation);
    tree_->Pin(next.node, Hold::kPromise);
    tree_->Unpin(node, Hold::kPromise);
    reservation.node_ = next.node;
    SetReserved(reservation, reservation.reserved_blocks_ - 1);
  }
}

void PromiseTable::GiveUpBehind(Reservation& reservation, size_t tokens) {
  if (reservation.empty()) return;
  std::erase_if(reservation.pending_, [&](const Breakpoint& b) { return b.tokens > tokens; });
  if (reservation.pending_.empty()) return GiveUp(reservation);
  CountPending(reservation);
  SetReserved(reservation,
              BlocksFor(reservation.pending_.back().tokens) - reservation.node_->depth);
}

void PromiseTable::GiveUp(Reservation& reservation) {
  if (reservation.empty()) return;
  SetReserved(reservation, 0);
  reservation.pending_.clear();
  CountPending(reservation);
  UnpinUpTo(reservation, std::numeric_limits<size_t>::max());
  tree_->Unpin(reservation.node_, Hold::kPromise);
  --reservations_;
  reservation.node_ = nullptr;
  reservation.book_ = nullptr;
}

// ---- promises -----------------------------------------------------------------------------------

bool PromiseTable::Exists(const PrefixNode* parent, Tokens tokens) const {
  const auto brothers = promises_.find(parent);
  return brothers != promises_.end() && brothers->second.contains(tokens);
}

void PromiseTable::Make(PrefixNode* parent, Tokens tokens, PrefixNode* holder,
                        const Breakpoint& breakpoint, TimePoint start) {
  Brothers& brothers = promises_[parent];
  auto found = brothers.find(tokens);
  if (found != brothers.end()) return Prolong(found->second, breakpoint.ttl, start);

  std::vector<TokenId> key(tokens.begin(), tokens.end());
  Promise promise = {parent, key, holder, breakpoint.ttl, EndOf(start, breakpoint.ttl), nullptr};
  found = brothers.emplace(std::move(key), std::move(promise)).first;
  if (snapshots_ != nullptr) {
    found->second.snapshot = snapshots_->Find(parent, tokens);
    snapshots_->Pin(found->second.snapshot);
  }
  Enlist(found->second);
  ++made_;
  tree_->Pin(holder, Hold::kPromise);
}

void PromiseTable::Enlist(Promise& promise) {
  by_expiry_.emplace(promise.expires, &promise);
  ++by_class_[ClassOf(promise.ttl)];
  ++promise.parent->root->tenant->promises_by_class[ClassOf(promise.ttl)];
}

void PromiseTable::Delist(Promise& promise) {
  by_expiry_.erase({promise.expires, &promise});
  --by_class_[ClassOf(promise.ttl)];
  --promise.parent->root->tenant->promises_by_class[ClassOf(promise.ttl)];
}

// Never shortens what is unexpired: neither the time that is left nor what a hit renews it for.
void PromiseTable::Prolong(Promise& promise, Duration ttl, TimePoint start) {
  Delist(promise);
  promise.ttl = start < promise.expires ? std::max(promise.ttl, ttl) : ttl;
  promise.expires = std::max(promise.expires, EndOf(start, ttl));
  Enlist(promise);
}

void PromiseTable::End(Promise& promise) {
  Delist(promise);
  PrefixNode* holder = promise.holder;
  if (promise.snapshot != nullptr) snapshots_->Unpin(promise.snapshot);
  const auto brothers = promises_.find(promise.parent);
  brothers->second.erase(brothers->second.find(promise.tokens));
  if (brothers->second.empty()) promises_.erase(brothers);
  tree_->Unpin(holder, Hold::kPromise);
}

template <typename Visit>
void PromiseTable::ForEachWithin(const PrefixNode* parent, Tokens tokens, Visit visit) {
  const auto brothers = promises_.find(parent);
  if (brothers == promises_.end()) return;
  for (size_t length = 1; length <= std::min(tokens.size(), tree_->block_tokens()); ++length) {
    const auto promise = brothers->second.find(tokens.first(length));
    if (promise != brothers->second.end()) visit(promise->second);
  }
}

void PromiseTable::Renew(std::string_view scope, Tokens prompt, TimePoint start) {
  const auto renew = [&](Promise& promise) {
    // One that ended before this request began only waits to be taken away.
    if (start < promise.expires) Prolong(promise, promise.ttl, start);
  };
  PrefixNode* root = tree_->FindRoot(scope);
  if (root == nullptr || promises_.empty()) return;
  ForEachWithin(root, prompt, renew);
  tree_->Descend(root, prompt, [&](PrefixNode* node) {
    ForEachWithin(node, prompt.subspan(node->depth * tree_->block_tokens()), renew);
  });
}

void PromiseTable::Move(PrefixNode* from, PrefixNode* to) {
  CHECK(from->parent == to->parent, "a node is superseded by a brother");
  if (!from->pinned(Hold::kPromise)) return;
  ForEachWithin(from->parent, from->Tokens(), [&](Promise& promise) {
    if (promise.holder != from) return;
    promise.holder = to;
    tree_->Pin(to, Hold::kPromise);
    tree_->Unpin(from, Hold::kPromise);
  });
}

size_t PromiseTable::EndExpired(TimePoint now) {
  size_t ended = 0;
  for (; !by_expiry_.empty() && by_expiry_.begin()->first <= now; ++ended)
    End(*by_expiry_.begin()->second);
  return ended;
}

void PromiseTable::EndAll() {
  while (!by_expiry_.empty()) End(*by_expiry_.begin()->second);
}

std::optional<TimePoint> PromiseTable::next_expiry() const {
  if (by_expiry_.empty() || by_expiry_.begin()->first == TimePoint::max()) return std::nullopt;
  return by_expiry_.begin()->first;
}

// ---- check --------------------------------------------------------------------------------------

void PromiseTable::Check() const {
  std::unordered_map<PrefixNode*, uint32_t> held;
  std::array<size_t, 3> by_class = {};
  size_t promises = 0;
  for (const auto& [parent, brothers] : promises_) {
    CHECK(!brothers.empty(), "a parent without promises is forgotten");
    for (const auto& [tokens, promise] : brothers) {
      PrefixNode* holder = promise.holder;
      CHECK(promise.parent == parent && promise.tokens == tokens, "a promise knows its place");
      CHECK(holder->state == NodeState::kAttached && holder->parent == parent,
            "what keeps a promise is found");
      CHECK(tokens.size() <= holder->token_count &&
                std::ranges::equal(tokens, holder->Tokens().first(tokens.size())),
            "what keeps a promise begins with its tokens");
      CHECK((promise.snapshot != nullptr) == (snapshots_ != nullptr),
            "a promise of a model with states keeps one");
      CHECK(promise.snapshot == nullptr || (promise.snapshot == snapshots_->Find(parent, tokens) &&
                                            promise.snapshot->pins > 0),
            "what a promise keeps stands behind its tokens");
      CHECK(by_expiry_.contains({promise.expires, const_cast<Promise*>(&promise)}),
            "every promise has its time to end");
      ++held[holder];
      ++by_class[ClassOf(promise.ttl)];
      ++promises;
    }
  }
  for (const auto& [holder, count] : held)
    CHECK(holder->held(Hold::kPromise).own >= count, "a promise pins its node");
  CHECK(promises == by_expiry_.size() && by_class == by_class_, "promises are counted right");
  CHECK(promises + reservations_ == tree_->holds(Hold::kPromise),
        "what is pinned for a promise is a promise's or a reservation's");
  CHECK(tree_->pinned_blocks(Hold::kPromise) + reserved_blocks_ <= blocks_.all,
        "promises keep to their share");
  CHECK(snapshots_ == nullptr || (promises + reserved_snapshots_ <= states_.all &&
                                  snapshots_->pinned() <= promises + reserved_snapshots_),
        "promises keep to their share of snapshots");
  size_t reserved = 0;
  size_t reserved_states = 0;
  std::array<size_t, 3> of_tenants = {};
  tree_->ForEachTenant([&](const TenantSizes& tenant) {
    reserved += tenant.reserved_blocks;
    for (size_t i = 0; i < of_tenants.size(); ++i) of_tenants[i] += tenant.promises_by_class[i];
    CHECK(tenant.pinned_blocks + tenant.reserved_blocks <= blocks_.per_tenant,
          "a tenant's promises keep to its share");
    reserved_states += tenant.reserved_snapshots;
  });
  CHECK(reserved_states == reserved_snapshots_, "reserved snapshots are counted right");
  CHECK(reserved == reserved_blocks_, "reserved blocks are counted right");
  CHECK(of_tenants == by_class_, "every promise is a tenant's");
}

}  // namespace reprise::internal

#include "cache/promise_table.h"

#include <algorithm>

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

PromiseTable::PromiseTable(PrefixTree* tree, size_t capacity, size_t capacity_per_tenant)
    : tree_(tree), capacity_(capacity), capacity_per_tenant_(capacity_per_tenant) {}

PromiseTable::~PromiseTable() {
  CHECK(reservations_ == 0, "no reservation outlives its cache");
  EndAll();
}

size_t PromiseTable::BlocksFor(size_t tokens) const {
  return (tokens + tree_->block_tokens() - 1) / tree_->block_tokens();
}

// ---- accepting ----------------------------------------------------------------------------------

PinDecision PromiseTable::Decide(size_t cost, std::string_view scope) const {
  const TenantSizes* tenant = tree_->FindTenant(TenantOf(scope));
  const size_t of_tenant = tenant == nullptr ? 0 : tenant->pinned_blocks + tenant->reserved_blocks;
  if (cost > capacity_per_tenant_ - of_tenant) return PinDecision::kTenantFull;
  const size_t used = tree_->pinned_blocks(Hold::kPromise) + reserved_blocks_;
  return cost > capacity_ - used ? PinDecision::kPoolFull : PinDecision::kAccepted;
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
  const PinDecision decision = Decide(Cost(prompt, breakpoint, path, reservation), scope);
  if (decision != PinDecision::kAccepted) return decision;

  const size_t block_tokens = tree_->block_tokens();
  const size_t end = BlocksFor(breakpoint.tokens);
  if (breakpoint.tokens <= path.depth() * block_tokens + path.partial.common) {
    PrefixNode* holder = end <= path.depth() ? path.nodes[end] : path.partial.node;
    const size_t first = (end - 1) * block_tokens;
    Make(path.nodes[end - 1], prompt.subspan(first, breakpoint.tokens - first), holder, breakpoint,
         reservation.start_);
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
  return decision;
}

std::vector<BreakpointOutcome> PromiseTable::Accept(std::string_view scope, Tokens prompt,
                                                    std::span<const Breakpoint> breakpoints,
                                                    TimePoint start, Reservation& reservation) {
  CHECK(reservation.empty(), "a request's breakpoints are accepted once");
  Path path;
  if (PrefixNode* root = tree_->FindRoot(scope)) {
    path.nodes.push_back(root);
    path.partial =
        tree_->Descend(root, prompt, [&](PrefixNode* node) { path.nodes.push_back(node); });
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

    auto behind = pending.begin();
    for (; behind != pending.end() && behind->tokens <= first + rest.size(); ++behind)
      Make(node, rest.first(behind->tokens - first), next.node, *behind, reservation.start_);
    pending.erase(pending.begin(), behind);
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
  SetReserved(reservation,
              BlocksFor(reservation.pending_.back().tokens) - reservation.node_->depth);
}

void PromiseTable::GiveUp(Reservation& reservation) {
  if (reservation.empty()) return;
  SetReserved(reservation, 0);
  tree_->Unpin(reservation.node_, Hold::kPromise);
  --reservations_;
  reservation.pending_.clear();
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
  Promise promise = {parent, key, holder, breakpoint.ttl, EndOf(start, breakpoint.ttl)};
  found = brothers.emplace(std::move(key), std::move(promise)).first;
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
  CHECK(tree_->pinned_blocks(Hold::kPromise) + reserved_blocks_ <= capacity_,
        "promises keep to their share");
  size_t reserved = 0;
  std::array<size_t, 3> of_tenants = {};
  tree_->ForEachTenant([&](const TenantSizes& tenant) {
    reserved += tenant.reserved_blocks;
    for (size_t i = 0; i < of_tenants.size(); ++i) of_tenants[i] += tenant.promises_by_class[i];
    CHECK(tenant.pinned_blocks + tenant.reserved_blocks <= capacity_per_tenant_,
          "a tenant's promises keep to its share");
  });
  CHECK(reserved == reserved_blocks_, "reserved blocks are counted right");
  CHECK(of_tenants == by_class_, "every promise is a tenant's");
}

}  // namespace reprise::internal

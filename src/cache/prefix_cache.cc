#include "cache/prefix_cache.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "cache/drop_log.h"
#include "cache/path_hash.h"
#include "cache/prefix_tree.h"
#include "cache/promise_table.h"
#include "cache/snapshot_table.h"

namespace reprise {

using internal::Hold;
using internal::NodeState;
using internal::PrefixNode;
using internal::PrefixTree;
using internal::PromiseTable;
using internal::Snapshot;
using internal::SnapshotTable;

Lease::Lease(PrefixTree* tree, PrefixNode* node) : tree_(tree), node_(node) {
  tree_->Pin(node_, Hold::kLease);
}

Lease::Lease(Lease&& other) noexcept
    : tree_(std::exchange(other.tree_, nullptr)), node_(std::exchange(other.node_, nullptr)) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  tree_ = std::exchange(other.tree_, nullptr);
  node_ = std::exchange(other.node_, nullptr);
  return *this;
}

Lease::~Lease() { Release(); }

void Lease::Release() {
  PrefixTree* tree = std::exchange(tree_, nullptr);
  PrefixNode* node = std::exchange(node_, nullptr);
  if (node != nullptr) tree->Unpin(node, Hold::kLease);
}

Reservation::Reservation(Reservation&& other) noexcept
    : book_(std::exchange(other.book_, nullptr)),
      node_(std::exchange(other.node_, nullptr)),
      pending_(std::exchange(other.pending_, {})),
      snapshots_(std::exchange(other.snapshots_, {})),
      start_(other.start_),
      reserved_blocks_(std::exchange(other.reserved_blocks_, 0)),
      reserved_snapshots_(std::exchange(other.reserved_snapshots_, 0)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  Release();
  book_ = std::exchange(other.book_, nullptr);
  node_ = std::exchange(other.node_, nullptr);
  pending_ = std::exchange(other.pending_, {});
  snapshots_ = std::exchange(other.snapshots_, {});
  start_ = other.start_;
  reserved_blocks_ = std::exchange(other.reserved_blocks_, 0);
  reserved_snapshots_ = std::exchange(other.reserved_snapshots_, 0);
  return *this;
}

Reservation::~Reservation() { Release(); }

void Reservation::Release() {
  if (book_ != nullptr) book_->GiveUp(*this);
}

PrefixCache::PrefixCache(BlockPool* pool, const Clock* clock, Options options) : options_(options) {
  CHECK(options.block_tokens > 0, "a block holds at least one token");
  CHECK(options.retention > Duration::zero(), "what is cached is retained for some time");
  tree_ = std::make_unique<PrefixTree>(pool, clock, options.block_tokens);
  if (options.states != nullptr) {
    CHECK(options.working_states > 0 &&
              options.working_states + options.pin_snapshots <= options.states->block_count(),
          "the arena of states holds what sequences and promises may");
    snapshots_ = std::make_unique<SnapshotTable>(tree_.get(), options.states);
  }
  const auto or_all = [](size_t share) {
    return share > 0 ? share : std::numeric_limits<size_t>::max();
  };
  book_ = std::make_unique<PromiseTable>(
      tree_.get(), snapshots_.get(),
      PromiseTable::Shares{options.pin_blocks, or_all(options.pin_blocks_per_tenant)},
      PromiseTable::Shares{options.pin_snapshots, or_all(options.pin_snapshots_per_tenant)});
  drops_ = std::make_unique<internal::DropLog>(options.remembered_losses, tree_->block_tokens());
}

PrefixCache::~PrefixCache() = default;

PrefixMatch PrefixCache::Match(std::string_view scope, std::span<const TokenId> tokens,
                               size_t limit) {
  PrefixMatch match;
  const auto wanted = tokens.first(std::min(limit, tokens.size()));
  PrefixNode* deepest = tree_->FindRoot(scope);
  if (deepest == nullptr) {
    if (!wanted.empty()) match.lost = drops_->Find(internal::ScopePathHash(scope), tokens, 0);
    return match;
  }

  auto partial = tree_->Descend(deepest, wanted, [&](PrefixNode* node) {
    match.blocks.push_back(node->block);
    deepest = node;
  });
  size_t full_tokens = match.blocks.size() * tree_->block_tokens();
  match.known = full_tokens + partial.common;
  if (match.known < wanted.size()) {
    match.lost = drops_->Find(deepest->path_hash, tokens.subspan(full_tokens), partial.common);
  }
  if (snapshots_ != nullptr) {
    Snapshot* snapshot = snapshots_->FindOnPath(deepest, wanted.first(match.known));
    const size_t end = snapshot == nullptr ? 0 : snapshots_->TokensBefore(*snapshot);
    const size_t full = end / tree_->block_tokens();
    if (full < match.blocks.size()) {
      partial.node = tree_->NodeOf(match.blocks[full]);
      match.blocks.resize(full);
      deepest = full == 0 ? tree_->FindRoot(scope) : tree_->NodeOf(match.blocks.back());
    }
    full_tokens = full * tree_->block_tokens();
    partial.common = end - full_tokens;
    if (partial.common == 0) partial.node = nullptr;
    if (snapshot != nullptr) {
      snapshots_->Touch(snapshot);
      match.state = snapshot->state.Share();
    }
  }
  if (!match.blocks.empty()) match.lease = Lease(tree_.get(), deepest);
  if (partial.node != nullptr) {
    match.partial = partial.node->block;
    match.partial_tokens = partial.common;
    match.partial_lease = Lease(tree_.get(), partial.node);
    deepest = partial.node;
  }
  match.tokens = full_tokens + match.partial_tokens;
  if (match.tokens > 0) {
    tree_->Touch(deepest);
    tree_->CountRead(deepest);
  }
  return match;
}

size_t PrefixCache::Peek(std::string_view scope, std::span<const TokenId> tokens) const {
  const PrefixNode* root = tree_->FindRoot(scope);
  if (root == nullptr) return 0;
  size_t full_nodes = 0;
  const auto partial = tree_->Descend(root, tokens, [&](PrefixNode*) { ++full_nodes; });
  return full_nodes * tree_->block_tokens() + partial.common;
}

size_t PrefixCache::PeekReadable(std::string_view scope, std::span<const TokenId> tokens,
                                 size_t limit) const {
  const auto wanted = tokens.first(std::min(limit, tokens.size()));
  const PrefixNode* deepest = tree_->FindRoot(scope);
  if (snapshots_ == nullptr || deepest == nullptr) return Peek(scope, wanted);
  const auto partial =
      tree_->Descend(deepest, wanted, [&](const PrefixNode* node) { deepest = node; });
  const size_t known = deepest->depth * tree_->block_tokens() + partial.common;
  const Snapshot* snapshot = snapshots_->FindOnPath(deepest, wanted.first(known));
  return snapshot == nullptr ? 0 : snapshots_->TokensBefore(*snapshot);
}

std::vector<TokenId> PrefixCache::PeekBeyond(std::string_view scope,
                                             std::span<const TokenId> tokens, const Lease& lease,
                                             size_t most) const {
  std::vector<TokenId> beyond;
  const PrefixNode* node = lease.node_;
  if (node == nullptr) node = tree_->FindRoot(scope);
  if (node == nullptr) return beyond;
  if (!node->is_root() && node->token_count < tree_->block_tokens()) node = node->parent;
  CHECK(node->depth * tree_->block_tokens() <= tokens.size(), "a lease holds what its owner knows");
  auto rest = tokens.subspan(node->depth * tree_->block_tokens());
  while (beyond.size() < most) {
    node = tree_->FindBeyond(node, rest);
    if (node == nullptr) break;
    const auto known = std::min(rest.size(), tree_->block_tokens());
    rest = rest.subspan(known);
    const auto more = node->Tokens().subspan(known);
    const auto taken = more.first(std::min(more.size(), most - beyond.size()));
    beyond.insert(beyond.end(), taken.begin(), taken.end());
  }
  return beyond;
}

// The node behind whose tokens [first ..] is published: see the REQUIRES of Publish.
PrefixNode* PrefixCache::ParentFor(std::string_view scope, std::span<const TokenId> tokens,
                                   size_t first, const Lease& lease) {
  const size_t block_tokens = tree_->block_tokens();
  CHECK(first % block_tokens == 0, "what is published begins at a block's edge");
  CHECK(tokens.size() > first && tokens.size() - first <= block_tokens,
        "what is published is 1..block_tokens tokens");
  CHECK(lease.tree_ == nullptr || lease.tree_ == tree_.get(), "a lease stays with its cache");

  const size_t depth = first / block_tokens;
  PrefixNode* parent = lease.node_;
  if (parent != nullptr && parent->depth == depth + 1) parent = parent->parent;
  if (parent == nullptr && depth == 0) parent = tree_->FindOrAddRoot(scope);
  CHECK(parent != nullptr && parent->depth == depth,
        "the tokens before a published block are cached and held by the caller's lease");
  CHECK(parent->root->scope == scope, "a lease stays within its scope");
  for (const PrefixNode* node = parent; !node->is_root(); node = node->parent)
    CHECK(std::ranges::equal(node->Tokens(),
                             tokens.subspan((node->depth - 1) * block_tokens, block_tokens)),
          "a published block follows the tokens that its lease holds");
  return parent;
}

BlockId PrefixCache::Publish(std::string_view scope, std::span<const TokenId> tokens, size_t first,
                             BlockId block, Lease& lease) {
  CHECK(tree_->pool().references(block) > 0, "the caller references the block that it publishes");
  PrefixNode* parent = ParentFor(scope, tokens, first, lease);
  const auto own_tokens = tokens.subspan(first);

  PrefixNode* own = tree_->NodeOf(block);
  CHECK(own == nullptr || own->parent == parent, "a block's published tokens never change");
  const PrefixTree::Neighbour nearest = tree_->FindNearest(parent, own_tokens);
  const bool contained = nearest.common == own_tokens.size();
  const bool contains = nearest.node != nullptr && nearest.common == nearest.node->token_count;

  PrefixNode* deepest = nullptr;
  if (own != nullptr && own->state == NodeState::kAttached) {
    CHECK(nearest.node == own, "a block's published tokens never change");
    tree_->Grow(own, own_tokens);
    deepest = own;
  } else if (contained) {
    return Deduplicate(*nearest.node, contains, block, lease);
  } else {
    deepest = tree_->Attach(parent, own_tokens, block);
    ++counters_.published_blocks;
  }
  tree_->Touch(deepest);
  lease = Lease(tree_.get(), deepest);
  if (contains && nearest.node != own) {
    book_->Move(nearest.node, deepest);
    deepest->reads += nearest.node->reads;
    tree_->Supersede(nearest.node);
  }
  return block;
}

// The tokens of `block` are a prefix of `found`'s, or equal to them.
BlockId PrefixCache::Deduplicate(PrefixNode& found, bool equal, BlockId block, Lease& lease) {
  ++counters_.deduplicated_blocks;
  tree_->Touch(&found);
  if (equal && found.token_count == tree_->block_tokens()) {
    tree_->pool().Reference(found.block);
    lease = Lease(tree_.get(), &found);
    tree_->pool().Release(block);
    return found.block;
  }
  lease = found.parent->is_root() ? Lease() : Lease(tree_.get(), found.parent);
  return block;
}

std::vector<BreakpointOutcome> PrefixCache::Promise(std::string_view scope,
                                                    std::span<const TokenId> prompt,
                                                    std::span<const Breakpoint> breakpoints,
                                                    TimePoint start, Reservation& reservation,
                                                    size_t read) {
  return book_->Accept(scope, prompt, breakpoints, start, reservation, read);
}

void PrefixCache::Fulfil(Reservation& reservation, std::span<const TokenId> published) {
  book_->Fulfil(reservation, published);
}

void PrefixCache::Conclude(Reservation& reservation, std::span<const TokenId> published) {
  book_->GiveUpBehind(reservation, published.size());
  book_->Fulfil(reservation, published);
  book_->GiveUp(reservation);
}

void PrefixCache::Renew(std::string_view scope, std::span<const TokenId> prompt, TimePoint start) {
  book_->Renew(scope, prompt, start);
}

void PrefixCache::DropOldest(LossCause cause, SequenceId for_whom) {
  DropLeaf(tree_->Oldest(), cause, for_whom);
}

void PrefixCache::DropLeaf(PrefixNode* leaf, LossCause cause, SequenceId for_whom) {
  drops_->Add(leaf->parent->path_hash, leaf->Tokens(), {cause, tree_->Now(), for_whom});
  if (snapshots_ != nullptr) snapshots_->LoseChild(leaf);
  tree_->Evict(leaf);
}

std::optional<BlockId> PrefixCache::Allocate(SequenceId for_whom) {
  if (auto block = tree_->pool().TryAllocate()) return block;
  if (tree_->Oldest() == nullptr) return std::nullopt;
  DropOldest(LossCause::kEvicted, for_whom);
  ++counters_.evicted_blocks;
  return tree_->pool().TryAllocate();
}

size_t PrefixCache::available_blocks() const {
  return tree_->pool().free_blocks() + tree_->cached_blocks() - tree_->pinned_blocks();
}

size_t PrefixCache::Expire() {
  const TimePoint now = tree_->Now();
  counters_.expired_promises += book_->EndExpired(now);
  size_t freed = 0;
  for (const PrefixNode* oldest = tree_->Oldest();
       oldest != nullptr && now - oldest->last_use >= options_.retention;
       oldest = tree_->Oldest()) {
    DropOldest(LossCause::kExpired);
    ++freed;
  }
  counters_.expired_blocks += freed;
  return freed;
}

std::optional<TimePoint> PrefixCache::next_expiry() const {
  const std::optional<TimePoint> promise = book_->next_expiry();
  const PrefixNode* oldest = tree_->Oldest();
  if (oldest == nullptr || oldest->last_use > TimePoint::max() - options_.retention) return promise;
  const TimePoint idle = oldest->last_use + options_.retention;
  return promise ? std::min(*promise, idle) : idle;
}

size_t PrefixCache::Flush() {
  book_->EndAll();
  size_t freed = 0;
  for (; tree_->Oldest() != nullptr; ++freed) DropOldest(LossCause::kFlushed);
  if (snapshots_ != nullptr) snapshots_->DropUnpinned();
  return freed;
}

PrefixCache::Sizes PrefixCache::sizes() const {
  Sizes sizes;
  sizes.total_blocks = tree_->pool().block_count();
  sizes.free_blocks = tree_->pool().free_blocks();
  sizes.cached_blocks = tree_->cached_blocks();
  sizes.private_blocks = sizes.total_blocks - sizes.free_blocks - sizes.cached_blocks;
  sizes.leased_blocks = tree_->pinned_blocks(Hold::kLease);
  sizes.pinned_blocks = tree_->pinned_blocks(Hold::kPromise);
  sizes.held_blocks = tree_->pinned_blocks();
  sizes.reserved_blocks = book_->reserved_blocks();
  sizes.pin_capacity_blocks = book_->capacity();
  sizes.pin_capacity_per_tenant_blocks = book_->capacity_per_tenant();
  sizes.promises = book_->promises();
  sizes.promises_to_5m = book_->promises_by_class()[0];
  sizes.promises_to_1h = book_->promises_by_class()[1];
  sizes.promises_beyond_1h = book_->promises_by_class()[2];
  sizes.cached_tokens = tree_->cached_tokens();
  sizes.scopes = tree_->scopes();
  sizes.tenants = tree_->tenants();
  if (snapshots_ == nullptr) return sizes;
  sizes.total_states = snapshots_->total();
  sizes.working_states = snapshots_->working();
  sizes.most_working_states = options_.working_states;
  sizes.snapshots = snapshots_->size();
  sizes.pinned_snapshots = snapshots_->pinned();
  sizes.reserved_snapshots = book_->reserved_snapshots();
  sizes.pin_capacity_snapshots = options_.pin_snapshots;
  return sizes;
}

std::vector<TenantSizes> PrefixCache::tenants() const {
  std::vector<TenantSizes> tenants;
  tree_->ForEachTenant([&](const TenantSizes& tenant) { tenants.push_back(tenant); });
  return tenants;
}

PrefixCache::Counters PrefixCache::counters() const {
  Counters counters = counters_;
  counters.promises = book_->made();
  counters.refused_promises = book_->refused();
  if (snapshots_ != nullptr) {
    counters.kept_snapshots = snapshots_->kept();
    counters.evicted_snapshots = snapshots_->evicted();
  }
  return counters;
}

int PrefixCache::block_tokens() const { return options_.block_tokens; }

void PrefixCache::Check() const {
  tree_->Check();
  if (snapshots_ != nullptr) snapshots_->Check();
  book_->Check();
}

}  // namespace reprise

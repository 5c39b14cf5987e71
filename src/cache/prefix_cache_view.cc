// The verbs of PrefixCache for people who look at it: what the tree looks like, letting a part of
// it go, keeping a part; and for those who are told what it holds.

#include <algorithm>
#include <utility>

#include "cache/path_hash.h"
#include "cache/prefix_cache.h"
#include "cache/prefix_tree.h"
#include "cache/promise_table.h"
#include "cache/scope.h"
#include "cache/snapshot_table.h"

namespace reprise {

using internal::Hold;
using internal::NodeState;
using internal::PrefixNode;
using internal::PrefixRoot;
using internal::PrefixTree;
using internal::PromiseTable;
using internal::Snapshot;

namespace {

TreeNodeId IdOf(const PrefixNode& node, size_t block_tokens) {
  if (node.token_count == block_tokens) return {node.path_hash};
  return {internal::ExtendPathHash(node.parent->path_hash, node.Tokens())};
}

Duration TimeLeft(TimePoint end, TimePoint now) {
  return end == TimePoint::max() ? Duration::max() : std::max(end - now, Duration::zero());
}

// What is known of a node only from others: holds below it, and promises.
class NodeFacts {
 public:
  NodeFacts(const PrefixTree& tree, const PromiseTable& book) : facts_(tree.pool().block_count()) {
    tree.ForEachNode([&](const PrefixNode& node) {
      const uint32_t own = node.holds[static_cast<size_t>(Hold::kLease)].own;
      if (own == 0) return;
      for (const PrefixNode* at = &node; !at->is_root(); at = at->parent) Of(*at).leases += own;
    });
    const TimePoint now = tree.Now();
    book.ForEach([&](const PrefixNode* holder, size_t tokens, Duration ttl, TimePoint end) {
      Of(*holder).promises.push_back({tokens, ttl, TimeLeft(end, now)});
      for (const PrefixNode* at = holder; !at->is_root(); at = at->parent) {
        std::optional<TimePoint>& latest = Of(*at).end;
        if (latest && *latest >= end) break;
        latest = end;
      }
    });
  }

  struct Facts {
    size_t leases = 0;
    std::optional<TimePoint> end;  // of the last promise on it and below
    std::vector<TreePromise> promises;
  };
  const Facts& operator[](const PrefixNode& node) const { return facts_[node.block.value]; }

 private:
  Facts& Of(const PrefixNode& node) { return facts_[node.block.value]; }
  std::vector<Facts> facts_;  // by block
};

// Nodes of a chain, the tokens not copied yet.
struct Span {
  const PrefixNode* first = nullptr;
  const PrefixNode* last = nullptr;
  size_t parent = TreeChain::kNone;
  size_t scope = 0;
  size_t tokens = 0;
  size_t tokens_below = 0;
};

Span SpanFrom(const PrefixNode* first, size_t parent, size_t scope, const NodeFacts& facts) {
  Span span = {first, first, parent, scope, first->token_count, 0};
  while (span.last->children.size() == 1) {
    const PrefixNode* next = span.last->children.front();
    if (!facts[*span.last].promises.empty() || facts[*next].leases != facts[*first].leases ||
        next->pinned(Hold::kPromise) != first->pinned(Hold::kPromise)) {
      break;
    }
    span.last = next;
    span.tokens += next->token_count;
  }
  return span;
}

}  // namespace

void PrefixCache::SetListener(BlockListener* listener) { tree_->SetListener(listener); }

void PrefixCache::TellFullBlocks(BlockListener& listener) const { tree_->TellFullBlocks(listener); }

TreeView PrefixCache::Describe(const TreeQuery& query) const {
  const NodeFacts facts(*tree_, *book_);
  const TimePoint now = tree_->Now();
  TreeView view;
  view.block_tokens = tree_->block_tokens();

  std::vector<Span> spans;
  tree_->ForEachRoot([&](const PrefixRoot& root) {
    if (query.tenant && root.tenant->tenant != *query.tenant) return;
    for (const PrefixNode* child : root.children)
      spans.push_back(SpanFrom(child, TreeChain::kNone, view.scopes.size(), facts));
    view.scopes.push_back({root.tenant->tenant, CacheKeyOf(root.scope)});
  });
  for (size_t i = 0; i < spans.size(); ++i) {
    const Span span = spans[i];
    view.blocks += span.last->depth - span.first->depth + 1;
    view.tokens += span.tokens;
    for (const PrefixNode* child : span.last->children)
      spans.push_back(SpanFrom(child, i, span.scope, facts));
  }
  for (size_t i = spans.size(); i-- > 0;) {
    spans[i].tokens_below += spans[i].tokens;
    if (spans[i].parent != TreeChain::kNone)
      spans[spans[i].parent].tokens_below += spans[i].tokens_below;
  }

  const size_t shown = std::min(spans.size(), query.most_chains);
  view.left_out_chains = spans.size() - shown;
  for (size_t i = shown; i < spans.size(); ++i) view.left_out_tokens += spans[i].tokens;
  view.chains.reserve(shown);
  for (size_t i = 0; i < shown; ++i) {
    const Span& span = spans[i];
    const PrefixNode& first = *span.first;
    const NodeFacts::Facts& known = facts[first];
    TreeChain chain;
    chain.parent = span.parent;
    chain.scope = span.scope;
    chain.begin = (first.depth - 1) * tree_->block_tokens();
    chain.tokens.resize(span.tokens);
    auto end = chain.tokens.end();
    for (const PrefixNode* node = span.last;; node = node->parent) {
      chain.nodes.push_back(IdOf(*node, tree_->block_tokens()));
      end = std::ranges::copy_backward(node->Tokens(), end).out;
      if (node == span.first) break;
    }
    std::ranges::reverse(chain.nodes);
    chain.tokens_below = span.tokens_below;
    chain.promised = first.pinned(Hold::kPromise);
    chain.leases = known.leases;
    chain.reads = first.reads;
    chain.idle = now - first.last_use;
    if (known.end) {
      chain.left = TimeLeft(*known.end, now);
    } else if (!first.pinned() && options_.retention != Duration::max()) {
      chain.left = std::max(options_.retention - chain.idle, Duration::zero());
    }
    chain.promises = facts[*span.last].promises;
    std::ranges::sort(chain.promises, {}, &TreePromise::tokens);
    view.chains.push_back(std::move(chain));
  }
  return view;
}

PrefixNode* PrefixCache::FindNode(TreeNodeId id) const {
  const PrefixNode* found = nullptr;
  tree_->ForEachNode([&](const PrefixNode& node) {
    if (node.state == NodeState::kAttached && IdOf(node, tree_->block_tokens()) == id)
      found = &node;
  });
  return found == nullptr ? nullptr : tree_->NodeOf(found->block);
}

std::optional<TreeDrop> PrefixCache::Drop(TreeNodeId id) {
  PrefixNode* top = FindNode(id);
  if (top == nullptr) return std::nullopt;
  book_->EndThose([top](const PrefixNode* node) {
    while (node->depth > top->depth) node = node->parent;
    return node == top;
  });
  std::vector<PrefixNode*> below = {top};  // parents before children
  for (size_t i = 0; i < below.size(); ++i) {
    const std::vector<PrefixNode*>& children = below[i]->children;
    below.insert(below.end(), children.begin(), children.end());
  }
  TreeDrop dropped;
  for (size_t i = below.size(); i-- > 0;) {
    if (below[i]->evictable) {
      DropLeaf(below[i], LossCause::kFlushed);
      ++dropped.freed_blocks;
    } else {
      ++dropped.kept_blocks;
    }
  }
  return dropped;
}

std::optional<TreeKeep> PrefixCache::Keep(TreeNodeId id, Duration ttl) {
  const PrefixNode* node = FindNode(id);
  if (node == nullptr) return std::nullopt;
  std::vector<TokenId> tokens((node->depth - 1) * tree_->block_tokens() + node->token_count);
  auto end = tokens.end();
  for (const PrefixNode* at = node; !at->is_root(); at = at->parent)
    end = std::ranges::copy_backward(at->Tokens(), end).out;
  TreeKeep keep;
  keep.tokens = tokens.size();
  if (snapshots_ != nullptr) {
    const PrefixNode* full = node->token_count < tree_->block_tokens() ? node->parent : node;
    const Snapshot* snapshot = snapshots_->FindOnPath(full, tokens);
    if (snapshot == nullptr) return TreeKeep{KeepDecision::kNoSnapshot};
    keep.tokens = snapshots_->TokensBefore(*snapshot);
  }
  Reservation nothing_missing;
  const Breakpoint breakpoint = {keep.tokens, ttl};
  const BreakpointOutcome outcome =
      book_->Accept(node->root->scope, tokens, std::span(&breakpoint, 1), tree_->Now(),
                    nothing_missing, tokens.size())[0];
  if (!outcome.accepted()) {
    return TreeKeep{outcome.decision == PinDecision::kTenantFull ? KeepDecision::kTenantFull
                                                                 : KeepDecision::kPoolFull};
  }
  keep.decision = KeepDecision::kKept;
  while ((node->depth - 1) * tree_->block_tokens() >= keep.tokens) node = node->parent;
  const auto behind = node->Tokens().first(keep.tokens - (node->depth - 1) * tree_->block_tokens());
  book_->ForEach([&](const PrefixNode* holder, size_t held, Duration, TimePoint until) {
    if (held == keep.tokens && holder->parent == node->parent &&
        std::ranges::equal(holder->Tokens().first(behind.size()), behind)) {
      keep.left = TimeLeft(until, tree_->Now());
    }
  });
  return keep;
}

}  // namespace reprise

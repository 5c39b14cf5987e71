// The tree as people see it, and what they may do to it: chains, holds, times; drop and keep.

#include "cache/tree_view.h"

#include <gtest/gtest.h>

#include <chrono>

#include "cache/scope.h"
#include "prefix_cache_fixture.h"

namespace reprise {
namespace {

using namespace std::chrono_literals;

class TreeViewTest : public PrefixCacheTest {
 protected:
  TreeView View(std::optional<std::string> tenant = {}, size_t most = 100) const {
    return cache_->Describe({std::move(tenant), most});
  }
  // Of the one chain that ends with this token.
  TreeChain Ending(TokenId token) const {
    const TreeView view = View();
    for (const TreeChain& chain : view.chains)
      if (chain.tokens.back() == token) return chain;
    ADD_FAILURE() << "no chain ends with " << token;
    return {};
  }
  void Store(const Words& tokens, std::string_view scope = "") { End(Run(tokens, scope)); }
  size_t Known(const Words& tokens) const { return cache_->Peek("", tokens); }
};

const Words kHead = {1, 2, 3, 4, 5, 6, 7, 8};

TEST_F(TreeViewTest, ABranchBeginsNewChainsAndTheyAddUp) {
  Reset(16);
  Store(kHead + Words{9, 10, 11, 12, 13});
  Store(kHead + Words{20, 21});
  const TreeView view = View();
  ASSERT_EQ(view.chains.size(), 3U);
  EXPECT_EQ(view.block_tokens, kBlockTokens);
  EXPECT_EQ(view.tokens, 15U);
  EXPECT_EQ(view.blocks, 5U);
  const TreeChain& head = view.chains[0];
  EXPECT_EQ(head.parent, TreeChain::kNone);
  EXPECT_EQ(head.tokens, kHead);
  EXPECT_EQ(head.nodes.size(), 2U);
  EXPECT_EQ(head.tokens_below, 15U);
  EXPECT_EQ(view.chains[1].tokens, (Words{9, 10, 11, 12, 13}));
  EXPECT_EQ(view.chains[2].tokens, (Words{20, 21}));
  for (const size_t i : {1, 2}) {
    EXPECT_EQ(view.chains[i].parent, 0U);
    EXPECT_EQ(view.chains[i].begin, 8U);
    EXPECT_EQ(view.chains[i].tokens_below, view.chains[i].tokens.size());
  }
}

TEST_F(TreeViewTest, NodesKeepTheirIdsWhenTheTreeGrows) {
  Reset(16);
  Store(kHead);
  const auto before = View().chains[0].nodes;
  Store(kHead + Words{9, 10, 11, 12});
  Store(Words{1, 2, 3, 4, 50});
  const TreeView view = View();
  EXPECT_EQ(view.chains[0].nodes, (std::vector{before[0]}));
  EXPECT_EQ(Ending(12).nodes[0], before[1]);
}

TEST_F(TreeViewTest, WhatIsLeftOutIsTheDeepestAndCounted) {
  Reset(16);
  Store(kHead + Words{9});
  Store(kHead + Words{20, 21});
  const TreeView view = View({}, 2);
  ASSERT_EQ(view.chains.size(), 2U);
  EXPECT_EQ(view.tokens, 11U);
  EXPECT_EQ(view.left_out_chains, 1U);
  EXPECT_EQ(view.left_out_tokens, 2U);
  EXPECT_EQ(view.chains[0].tokens_below, 11U);
}

TEST_F(TreeViewTest, ATenantSeesItsOwnScopesAndIdsAreNoOthers) {
  Store(kHead, ScopeOf("a/a", "key"));
  Store(kHead, "b/b");
  const TreeView all = View();
  ASSERT_EQ(all.chains.size(), 2U);
  EXPECT_NE(all.chains[0].nodes[0], all.chains[1].nodes[0]);
  const TreeView own = View("a/a");
  ASSERT_EQ(own.chains.size(), 1U);
  ASSERT_EQ(own.scopes.size(), 1U);
  EXPECT_EQ(own.scopes[0].tenant, "a/a");
  EXPECT_EQ(own.scopes[0].cache_key, "key");
  EXPECT_EQ(own.tokens, 8U);
  EXPECT_TRUE(View("c/c").chains.empty());
}

TEST_F(TreeViewTest, ReadsAreCountedAlongThePathAndMoveToALongerLeaf) {
  Reset(16);
  Store(Words{1, 2, 3, 4, 5});
  Store(Words{1, 2, 3, 4, 5, 6});  // reads five, and supersedes the leaf
  Store(Words{1, 2, 3, 4, 30});    // reads the first block
  EXPECT_EQ(View().chains[0].reads, 2U);
  EXPECT_EQ(Ending(6).reads, 1U);
  EXPECT_EQ(Ending(30).reads, 0U);
}

TEST_F(TreeViewTest, ALeaseIsSeenUpToWhereItEnds) {
  Reset(16);
  Store(kHead + Words{9, 10, 11, 12});
  Sequence one = Run(kHead);
  Sequence two = Run(kHead);
  const TreeView view = View();
  ASSERT_EQ(view.chains.size(), 2U);
  EXPECT_EQ(view.chains[0].leases, 2U);
  EXPECT_EQ(view.chains[0].tokens, kHead);
  EXPECT_FALSE(view.chains[0].left);
  EXPECT_EQ(view.chains[1].leases, 0U);
  EXPECT_EQ(view.chains[1].left, 10s);
  End(std::move(one));
  End(std::move(two));
  EXPECT_EQ(View().chains.size(), 1U);
}

TEST_F(TreeViewTest, APromiseEndsAChainAndGivesItsTime) {
  Reset(16, 10s, 8);
  Store(kHead + Words{9, 10, 11, 12});
  Reservation none;
  const Breakpoint breakpoint = {6, 60s};
  cache_->Promise("", kHead, std::span(&breakpoint, 1), clock_.Now(), none);
  clock_.Advance(4s);
  const TreeView view = View();
  ASSERT_EQ(view.chains.size(), 2U);
  const TreeChain& kept = view.chains[0];
  EXPECT_TRUE(kept.promised);
  EXPECT_EQ(kept.tokens, kHead);
  EXPECT_EQ(kept.left, 56s);
  ASSERT_EQ(kept.promises.size(), 1U);
  EXPECT_EQ(kept.promises[0].tokens, 6U);
  EXPECT_EQ(kept.promises[0].ttl, 60s);
  EXPECT_EQ(kept.promises[0].left, 56s);
  EXPECT_FALSE(view.chains[1].promised);
  EXPECT_EQ(view.chains[1].idle, 4s);
  EXPECT_EQ(view.chains[1].left, 6s);
}

TEST_F(TreeViewTest, ADropFreesTheNodeAndAllBelowWithItsPromises) {
  Reset(16, 10s, 8);
  Store(kHead + Words{9, 10, 11, 12, 13});
  Store(kHead + Words{20, 21});
  Reservation none;
  const Breakpoint breakpoint = {12, 1h};
  cache_->Promise("", kHead + Words{9, 10, 11, 12}, std::span(&breakpoint, 1), clock_.Now(), none);
  const TreeNodeId second = View().chains[0].nodes[1];
  const auto dropped = cache_->Drop(second);
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->freed_blocks, 4U);
  EXPECT_EQ(dropped->kept_blocks, 0U);
  EXPECT_EQ(cache_->sizes().promises, 0U);
  EXPECT_EQ(Known(kHead), 4U);
  EXPECT_FALSE(cache_->Drop(second)) << "it is gone";
  cache_->Check();
  const PrefixMatch match = cache_->Match("", kHead, 8);
  ASSERT_TRUE(match.lost);
  EXPECT_EQ(match.lost->cause, LossCause::kFlushed);
}

TEST_F(TreeViewTest, ADropLeavesWhatARequestHoldsAndPromisesElsewhere) {
  Reset(16, 10s, 8);
  Store(kHead + Words{9, 10, 11, 12});
  Store(kHead + Words{20, 21, 22, 23});
  Reservation none;
  const Breakpoint breakpoint = {4, 1h};
  cache_->Promise("", kHead, std::span(&breakpoint, 1), clock_.Now(), none);
  Sequence running = Run(kHead + Words{9, 10, 11, 12});
  const auto dropped = cache_->Drop(Ending(8).nodes.back());
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->freed_blocks, 1U);
  EXPECT_EQ(dropped->kept_blocks, 2U);
  EXPECT_EQ(cache_->sizes().promises, 1U) << "above the node";
  EXPECT_EQ(Known(kHead + Words{9, 10, 11, 12}), 12U);
  cache_->Check();
  End(std::move(running));
}

TEST_F(TreeViewTest, ADropLeavesWhatAReservationHolds) {
  Reset(16, 10s, 8);
  Store(kHead);
  Reservation pending;
  const Breakpoint breakpoint = {12, 1h};
  cache_->Promise("", kHead + Words{9, 10, 11, 12}, std::span(&breakpoint, 1), clock_.Now(),
                  pending);
  const auto dropped = cache_->Drop(View().chains[0].nodes[0]);
  EXPECT_EQ(dropped->freed_blocks, 0U);
  EXPECT_EQ(dropped->kept_blocks, 2U);
  EXPECT_TRUE(View().chains[0].promised);
  EXPECT_FALSE(View().chains[0].left) << "as long as its request runs";
  cache_->Check();
}

TEST_F(TreeViewTest, WhatIsKeptOutlivesTheRetention) {
  Reset(16, 10s, 8);
  Store(kHead + Words{9, 10, 11, 12, 13});
  const auto kept = cache_->Keep(View().chains[0].nodes[2], 1h);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->decision, KeepDecision::kKept);
  EXPECT_EQ(kept->tokens, 12U);
  EXPECT_EQ(kept->left, 1h);
  const auto again = cache_->Keep(View().chains[0].nodes[2], 1s);
  EXPECT_EQ(again->left, 1h) << "never shortened";
  clock_.Advance(11s);
  cache_->Expire();
  EXPECT_EQ(Known(kHead + Words{9, 10, 11, 12, 13}), 12U);
  EXPECT_FALSE(cache_->Keep(TreeNodeId{1}, 1h));
}

TEST_F(TreeViewTest, WithoutRoomForPromisesNothingIsKept) {
  Reset(16, 10s, 3, 2);
  Store(kHead + Words{9, 10, 11, 12});
  Store(kHead + Words{9, 10, 11, 12}, "b/b");
  const TreeView view = View();
  EXPECT_EQ(cache_->Keep(view.chains[0].nodes[2], 1h)->decision, KeepDecision::kTenantFull);
  EXPECT_EQ(cache_->Keep(view.chains[0].nodes[1], 1h)->decision, KeepDecision::kKept);
  EXPECT_EQ(cache_->Keep(view.chains[1].nodes[1], 1h)->decision, KeepDecision::kPoolFull);
  EXPECT_EQ(cache_->sizes().promises, 1U);
  cache_->Check();
}

TEST_F(TreeViewTest, OfAModelWithStatesIsKeptWhatCanBeRead) {
  cache_.reset();
  const auto arena = BlockPool::Create(4, sizeof(size_t)).value();
  pool_ = BlockPool::Create(8, kBlockTokens * sizeof(TokenId)).value();
  cache_ = std::make_unique<PrefixCache>(pool_.get(), &clock_,
                                         PrefixCache::Options{.block_tokens = kBlockTokens,
                                                              .pin_blocks = 4,
                                                              .states = arena.get(),
                                                              .working_states = 1,
                                                              .pin_snapshots = 2});
  Sequence sequence = Run(Words{1, 2, 3, 4, 5, 6});
  StateReference state = cache_->TakeState({});
  Reservation none;
  cache_->PublishState("", Words{1, 2, 3, 4, 5, 6}, sequence.lease, state, StateUse::kGive, none);
  End(std::move(sequence));
  Store(Words{1, 2, 3, 4, 5, 6, 7, 8});
  const auto nodes = View().chains[0].nodes;
  EXPECT_EQ(cache_->Keep(nodes[0], 1h)->decision, KeepDecision::kNoSnapshot);
  const auto kept = cache_->Keep(nodes[1], 1h);
  EXPECT_EQ(kept->decision, KeepDecision::kKept);
  EXPECT_EQ(kept->tokens, 6U);
  EXPECT_EQ(kept->left, 1h);
  EXPECT_EQ(cache_->sizes().pinned_snapshots, 1U);
  cache_->Check();
  EXPECT_EQ(cache_->Drop(nodes[0])->freed_blocks, 2U);
  EXPECT_EQ(cache_->sizes().snapshots, 0U);
  Reset(1);  // the arena goes before the cache would
}

}  // namespace
}  // namespace reprise

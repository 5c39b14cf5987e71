// Match, eviction, publish.

#include "prefix_cache_fixture.h"

namespace reprise {
namespace {

// -- Match ------------------------------------------------------------------------------------

TEST_F(PrefixCacheTest, FindsNothingWhenEmpty) {
  const PrefixMatch match = cache_->Match("", Words{1, 2, 3}, 3);
  EXPECT_EQ(match.tokens, 0u);
  EXPECT_TRUE(match.blocks.empty());
  EXPECT_FALSE(match.partial.has_value());
  EXPECT_TRUE(match.lease.empty());
  EXPECT_EQ(cache_->sizes().scopes, 0u);
}

TEST_F(PrefixCacheTest, MatchesExactlyToTheTokenWhereverThePromptParts) {
  const Words cached = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const Sequence sequence = Run(cached);
  for (size_t parts_at = 0; parts_at <= cached.size(); ++parts_at) {
    const Words prompt = Words(cached.begin(), cached.begin() + parts_at) + Words{99, 98};
    const PrefixMatch match = cache_->Match("", prompt, prompt.size());
    EXPECT_EQ(match.tokens, parts_at);
    ASSERT_EQ(match.blocks.size(), parts_at / kBlockTokens);
    EXPECT_TRUE(std::equal(match.blocks.begin(), match.blocks.end(), sequence.table.begin()));
    EXPECT_EQ(match.partial_tokens, parts_at % kBlockTokens);
    EXPECT_EQ(match.partial.has_value(), match.partial_tokens > 0);
    if (match.partial) {
      EXPECT_EQ(
          Rows(*match.partial, match.partial_tokens),
          Words(cached.begin() + match.blocks.size() * kBlockTokens, cached.begin() + parts_at));
    }
  }
  GiveBack(sequence.table);
}

TEST_F(PrefixCacheTest, NeverMatchesBeyondTheLimit) {
  const Words tokens = {1, 2, 3, 4, 5, 6, 7, 8};
  RunAndEnd(tokens);
  for (size_t limit = 0; limit <= tokens.size() + 1; ++limit)
    EXPECT_EQ(cache_->Match("", tokens, limit).tokens, std::min(limit, tokens.size()));
}

TEST_F(PrefixCacheTest, KeepsScopesApart) {
  RunAndEnd({1, 2, 3, 4}, "a");
  RunAndEnd({1, 2, 3, 4}, "b");
  EXPECT_EQ(cache_->sizes().cached_blocks, 2u);
  EXPECT_EQ(cache_->sizes().scopes, 2u);
  EXPECT_EQ(Cached({1, 2, 3, 4}, "a"), 4u);
  EXPECT_EQ(Cached({1, 2, 3, 4}, "c"), 0u);
  cache_->Flush();
  EXPECT_EQ(cache_->sizes().scopes, 0u);
}

// -- Eviction ---------------------------------------------------------------------------------

TEST_F(PrefixCacheTest, EvictsTheLeastRecentlyUsedLeafFirst) {
  const Words stem = {1, 2, 3, 4};
  RunAndEnd(stem + Words{10});
  RunAndEnd(stem + Words{20, 21, 22, 23, 24});
  RunAndEnd(stem + Words{30});
  RunAndEnd({50});
  cache_->Match("", stem + Words{10}, 5);  // renews the stem and [10]
  auto taken = TakeAllFree();

  const Words inner = stem + Words{20, 21, 22, 23};
  const std::pair<Words, size_t> order[] = {{inner + Words{24}, 8},  // what is left of it
                                            {inner, 4},
                                            {stem + Words{30}, 4},
                                            {{50}, 0},
                                            {stem + Words{10}, 4},
                                            {stem, 0}};
  for (const auto& [tokens, left] : order) {
    EXPECT_EQ(Cached(tokens), tokens.size());
    taken.push_back(cache_->Allocate().value());
    EXPECT_EQ(Cached(tokens), left);
    cache_->Check();
  }
  EXPECT_FALSE(cache_->Allocate().has_value());
  EXPECT_EQ(cache_->counters().evicted_blocks, 6u);
  GiveBack(taken);
}

TEST_F(PrefixCacheTest, RenewsANodeThatIsReadPartly) {
  RunAndEnd({1, 2, 3, 4});
  RunAndEnd({5, 6, 7, 8});
  cache_->Match("", Words{1, 2, 9}, 3);
  auto taken = TakeAllFree();
  taken.push_back(cache_->Allocate().value());
  EXPECT_EQ(Cached({1, 2, 3, 4}), 4u);
  EXPECT_EQ(Cached({5, 6, 7, 8}), 0u);
  GiveBack(taken);
}

TEST_F(PrefixCacheTest, PeekRenewsNothing) {
  RunAndEnd({1, 2, 3, 4});
  RunAndEnd({5, 6, 7, 8});
  EXPECT_EQ(Cached({1, 2, 3, 4}), 4u);
  auto taken = TakeAllFree();
  taken.push_back(cache_->Allocate().value());
  EXPECT_EQ(Cached({1, 2, 3, 4}), 0u);
  GiveBack(taken);
}

TEST_F(PrefixCacheTest, BeyondTokensLiesWhatWasUsedLast) {
  Reset(16);
  const Words stem = {1, 2, 3, 4, 5, 6};
  RunAndEnd(stem + Words{70, 80, 90, 91, 92});
  RunAndEnd(stem + Words{71, 81});
  RunAndEnd(stem + Words{72, 82, 83, 84, 85}, "another");
  const auto beyond = [this](const Words& tokens, size_t most = 100) {
    return cache_->PeekBeyond("", tokens, Lease(), most);
  };
  EXPECT_EQ(beyond(stem), (Words{71, 81}));
  EXPECT_EQ(beyond({1, 2, 3, 4}), (Words{5, 6, 71, 81}));
  EXPECT_EQ(beyond({}, 5), (Words{1, 2, 3, 4, 5}));
  EXPECT_EQ(beyond(stem + Words{70}), (Words{80, 90, 91, 92}));
  EXPECT_EQ(beyond(stem + Words{70, 80, 90, 91, 92}), Words{}) << "the end";
  EXPECT_EQ(beyond(stem + Words{72}), Words{}) << "of another scope";
  EXPECT_EQ(beyond({9}), Words{});
  cache_->Match("", stem + Words{70}, 7);
  EXPECT_EQ(beyond(stem), (Words{70, 80, 90, 91, 92})) << "used since";
  Sequence sequence = Run(stem + Words{70});
  const Words tokens = stem + Words{70};
  EXPECT_EQ(cache_->PeekBeyond("", tokens, sequence.lease, 2), (Words{80, 90}));
  EXPECT_EQ(cache_->PeekBeyond("", stem + Words{71}, sequence.lease, 2), (Words{81}));
  End(std::move(sequence));
}

TEST_F(PrefixCacheTest, NeverEvictsWhatALeaseHolds) {
  Reset(3);
  RunAndEnd({1, 2, 3, 4, 5, 6, 7, 8});
  PrefixMatch match = cache_->Match("", Words{1, 2, 3, 4, 5}, 4);  // the first block
  EXPECT_EQ(cache_->available_blocks(), 2u);
  const BlockId a = cache_->Allocate().value();
  const BlockId b = cache_->Allocate().value();
  EXPECT_EQ(cache_->available_blocks(), 0u);
  EXPECT_FALSE(cache_->Allocate().has_value());
  EXPECT_EQ(Rows(match.blocks[0], 4), (Words{1, 2, 3, 4}));
  match.lease.Release();
  EXPECT_EQ(cache_->available_blocks(), 1u);
  const BlockId c = cache_->Allocate().value();
  GiveBack({a, b, c});
}

TEST_F(PrefixCacheTest, APartialMatchLetsGoOfItsSourceSoThatTheSequenceFits) {
  Reset(2);
  RunAndEnd({1, 2, 3, 4, 5, 6});
  const Words prompt = {1, 2, 3, 4, 5, 9};  // needs both blocks of the pool
  PrefixMatch match = cache_->Match("", prompt, prompt.size());
  ASSERT_EQ(match.partial_tokens, 1u);
  EXPECT_FALSE(cache_->Allocate().has_value());  // the source of the copy holds the last block
  match.partial_lease.Release();
  GiveBack({cache_->Allocate().value()});
  EXPECT_EQ(Cached(prompt), 4u);  // the lease still holds the full node
}

// -- Publish ----------------------------------------------------------------------------------

TEST_F(PrefixCacheTest, GrowsTheLeafOfABlockInPlace) {
  Lease lease;
  Words tokens = {1, 2};
  const BlockId block = Compute(tokens);
  for (; tokens.size() <= kBlockTokens; tokens.push_back(7)) {
    Write(block, tokens);
    EXPECT_EQ(cache_->Publish("", tokens, 0, block, lease), block);
    EXPECT_EQ(Cached(tokens), tokens.size());
    EXPECT_EQ(cache_->sizes().cached_blocks, 1u);
    EXPECT_EQ(cache_->sizes().cached_tokens, tokens.size());
  }
  EXPECT_EQ(cache_->counters().published_blocks, 1u);
  GiveBack({block});
}

TEST_F(PrefixCacheTest, GivesBackTheBlockOfAShorterLeafAtOnce) {
  RunAndEnd({1, 2});
  const BlockId block = Compute({1, 2, 3});
  Lease lease;
  EXPECT_EQ(cache_->Publish("", Words{1, 2, 3}, 0, block, lease), block);
  EXPECT_EQ(cache_->sizes().cached_blocks, 1u);
  EXPECT_EQ(pool_->free_blocks(), 7u);
  GiveBack({block});
}

TEST_F(PrefixCacheTest, ASupersededLeafStaysReadableUntilItsLeaseGoes) {
  RunAndEnd({1, 2});
  PrefixMatch reader = cache_->Match("", Words{1, 2, 9}, 3);
  RunAndEnd({1, 2, 3, 4});
  auto taken = TakeAllFree();
  taken.push_back(cache_->Allocate().value());  // evicts the longer one; the held one stays
  EXPECT_FALSE(cache_->Allocate().has_value());
  EXPECT_EQ(Rows(*reader.partial, reader.partial_tokens), (Words{1, 2}));
  EXPECT_EQ(Cached({1, 2}), 0u);
  cache_->Check();
  reader.partial_lease.Release();
  EXPECT_EQ(pool_->free_blocks(), 1u);
  EXPECT_EQ(cache_->sizes().scopes, 0u);
  GiveBack(taken);
}

TEST_F(PrefixCacheTest, AnOvertakenWriterPublishesItsOwnEnding) {
  Sequence writer = Run({1, 2});
  const BlockId block = writer.table[0];
  RunAndEnd({1, 2, 3, 4});  // supersedes the writer's leaf
  EXPECT_EQ(cache_->sizes().cached_blocks, 2u);
  Write(block, {1, 2, 7});
  EXPECT_EQ(cache_->Publish("", Words{1, 2, 7}, 0, block, writer.lease), block);
  EXPECT_EQ(Cached({1, 2, 7}), 3u);
  EXPECT_EQ(Cached({1, 2, 3, 4}), 4u);
  cache_->Check();
  End(std::move(writer));
  EXPECT_EQ(cache_->available_blocks(), 8u);
}

TEST_F(PrefixCacheTest, AnOvertakenWriterWithTheSameEndingSharesTheOtherBlock) {
  Sequence writer = Run({1, 2});
  const Sequence other = Run({1, 2, 3, 4});
  const BlockId block = cache_->Publish("", Words{1, 2, 3}, 0, writer.table[0], writer.lease);
  EXPECT_EQ(block, writer.table[0]);  // not full: stays its own, for it writes on
  EXPECT_TRUE(writer.lease.empty());
  EXPECT_EQ(cache_->sizes().private_blocks, 1u);
  cache_->Check();
  writer.table[0] = cache_->Publish("", Words{1, 2, 3, 4}, 0, block, writer.lease);
  EXPECT_EQ(writer.table[0], other.table[0]);
  EXPECT_EQ(pool_->references(other.table[0]), 3u);
  EXPECT_EQ(cache_->sizes().private_blocks, 0u);
  EXPECT_EQ(cache_->counters().deduplicated_blocks, 2u);
  cache_->Check();
  End(std::move(writer));
  GiveBack(other.table);
}

TEST_F(PrefixCacheTest, SwapsAFullBlockForTheEqualOneThatIsCached) {
  const Words tokens = {1, 2, 3, 4};
  const BlockId first = Compute(tokens);
  const BlockId second = Compute(tokens);
  Lease first_lease, second_lease;
  EXPECT_EQ(cache_->Publish("", tokens, 0, first, first_lease), first);
  EXPECT_EQ(cache_->Publish("", tokens, 0, second, second_lease), first);
  EXPECT_EQ(pool_->references(first), 3u);  // two sequences and the tree
  EXPECT_EQ(pool_->references(second), 0u);
  EXPECT_FALSE(second_lease.empty());
  GiveBack({first, first});
}

TEST_F(PrefixCacheTest, LeavesAnEqualPartialLeafToItsWriter) {
  const Sequence writer = Run({1, 2});
  const BlockId block = Compute({1, 2});
  Lease lease;
  EXPECT_EQ(cache_->Publish("", Words{1, 2}, 0, block, lease), block);
  EXPECT_EQ(pool_->references(writer.table[0]), 2u);
  EXPECT_EQ(pool_->references(block), 1u);
  EXPECT_TRUE(lease.empty());
  GiveBack({block});
  GiveBack(writer.table);
}

TEST_F(PrefixCacheTest, PublishingTheSameAgainChangesNothing) {
  Sequence writer = Run({1, 2, 3, 4, 5});
  EXPECT_EQ(cache_->Publish("", Words{1, 2, 3, 4, 5}, 4, writer.table[1], writer.lease),
            writer.table[1]);
  EXPECT_EQ(cache_->sizes().cached_blocks, 2u);
  EXPECT_EQ(cache_->sizes().leased_blocks, 2u);
  EXPECT_EQ(cache_->counters().published_blocks, 2u);
  EXPECT_EQ(cache_->counters().deduplicated_blocks, 0u);
  End(std::move(writer));
}

TEST_F(PrefixCacheTest, ACancelledSequenceLeavesWhatItComputed) {
  {
    const Sequence cancelled = Run({1, 2, 3, 4, 5, 6});
    GiveBack(cancelled.table);
  }
  EXPECT_EQ(Cached({1, 2, 3, 4, 5, 6, 7}), 6u);
  EXPECT_EQ(cache_->sizes().leased_blocks, 0u);
}

}  // namespace
}  // namespace reprise

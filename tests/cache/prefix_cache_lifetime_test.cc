// Retention, leases, flush; misuse.

#include "prefix_cache_fixture.h"

namespace reprise {
namespace {

using PrefixCacheDeathTest = PrefixCacheTest;

// -- Lifetime ---------------------------------------------------------------------------------

TEST_F(PrefixCacheTest, ExpiresWhatWasIdleForTheRetention) {
  EXPECT_FALSE(cache_->next_expiry().has_value());
  RunAndEnd({1, 2, 3, 4, 5});
  clock_.Advance(std::chrono::seconds(4));
  RunAndEnd({9});
  const TimePoint first = clock_.Now() + std::chrono::seconds(6);
  EXPECT_EQ(cache_->next_expiry(), first);

  clock_.Advance(std::chrono::seconds(6) - Duration(1));
  EXPECT_EQ(cache_->Expire(), 0u);
  clock_.Advance(Duration(1));
  EXPECT_EQ(cache_->Expire(), 2u);
  EXPECT_EQ(Cached({1, 2, 3, 4, 5}), 0u);
  EXPECT_EQ(Cached({9}), 1u);
  EXPECT_EQ(cache_->counters().expired_blocks, 2u);
  EXPECT_EQ(cache_->next_expiry(), first + std::chrono::seconds(4));
}

TEST_F(PrefixCacheTest, AUseRenewsALifetimeAndALeaseSuspendsIt) {
  RunAndEnd({1, 2, 3, 4});
  clock_.Advance(std::chrono::seconds(9));
  PrefixMatch match = cache_->Match("", Words{1, 2, 3, 4}, 4);
  EXPECT_FALSE(cache_->next_expiry().has_value());
  clock_.Advance(std::chrono::seconds(9));
  EXPECT_EQ(cache_->Expire(), 0u);
  clock_.Advance(std::chrono::seconds(9));
  EXPECT_EQ(cache_->Expire(), 0u);  // idle for long enough, but held
  match.lease.Release();
  EXPECT_EQ(cache_->Expire(), 1u);
}

TEST_F(PrefixCacheTest, RetainsForEverIfToldSo) {
  Reset(8, Duration::max());
  clock_.Advance(std::chrono::seconds(1));
  RunAndEnd({1, 2, 3, 4});
  clock_.Advance(std::chrono::hours(24 * 365 * 100));
  EXPECT_EQ(cache_->Expire(), 0u);
  EXPECT_FALSE(cache_->next_expiry().has_value());
}

TEST_F(PrefixCacheTest, FlushDropsAllThatNoLeaseHolds) {
  RunAndEnd({1, 2, 3, 4, 5, 6});
  RunAndEnd({1, 2, 3, 4, 7, 8});
  PrefixMatch match = cache_->Match("", Words{1, 2, 3, 4, 5, 6}, 6);
  EXPECT_EQ(cache_->Flush(), 1u);
  EXPECT_EQ(Cached({1, 2, 3, 4, 7, 8}), 4u);
  EXPECT_EQ(Cached({1, 2, 3, 4, 5, 6}), 6u);
  match = PrefixMatch();
  EXPECT_EQ(cache_->Flush(), 2u);
  EXPECT_EQ(pool_->free_blocks(), pool_->block_count());
}

TEST_F(PrefixCacheTest, ALeaseMovesAndReleasesOnce) {
  RunAndEnd({1, 2, 3, 4});
  Lease lease = cache_->Match("", Words{1, 2, 3, 4}, 4).lease;
  Lease moved = std::move(lease);
  EXPECT_FALSE(moved.empty());
  EXPECT_EQ(cache_->sizes().leased_blocks, 1u);
  Lease& alias = moved;
  moved = std::move(alias);
  EXPECT_EQ(cache_->sizes().leased_blocks, 1u);
  moved.Release();
  moved.Release();
  EXPECT_TRUE(moved.empty());
  EXPECT_EQ(cache_->sizes().leased_blocks, 0u);
}

// -- Misuse -----------------------------------------------------------------------------------

TEST_F(PrefixCacheDeathTest, PublishingBehindWhatIsNotCachedOrNotHeld) {
  const Words tokens = {1, 2, 3, 4, 5};
  const BlockId block = Compute({5});
  Lease none;
  EXPECT_DEATH(cache_->Publish("", tokens, 4, block, none), "held by the caller's lease");
  RunAndEnd({1, 2, 3, 4});
  EXPECT_DEATH(cache_->Publish("", tokens, 4, block, none), "held by the caller's lease");
  Lease lease = cache_->Match("", tokens, 4).lease;
  EXPECT_DEATH(cache_->Publish("", Words{1, 2, 9, 4, 5}, 4, block, lease),
               "follows the tokens that its lease holds");
  EXPECT_DEATH(cache_->Publish("other", tokens, 4, block, lease), "within its scope");
  EXPECT_DEATH(cache_->Publish("", tokens, 1, block, lease), "at a block's edge");
  EXPECT_DEATH(cache_->Publish("", tokens, 0, block, lease), "1..block_tokens tokens");
  GiveBack({block});
}

TEST_F(PrefixCacheDeathTest, ChangingWhatABlockWasPublishedAs) {
  Sequence writer = Run({1, 2});
  EXPECT_DEATH(cache_->Publish("", Words{1, 3}, 0, writer.table[0], writer.lease),
               "published tokens never change");
  EXPECT_DEATH(cache_->Publish("", Words{1}, 0, writer.table[0], writer.lease),
               "published tokens never change");
  End(std::move(writer));
}

TEST_F(PrefixCacheDeathTest, PublishingABlockThatIsNotReferenced) {
  const BlockId block = Compute({1});
  GiveBack({block});
  Lease lease;
  EXPECT_DEATH(cache_->Publish("", Words{1}, 0, block, lease), "references the block");
}

TEST_F(PrefixCacheDeathTest, EvictingWhatASequenceReferencesWithoutALease) {
  Sequence careless = Run({1, 2, 3, 4});
  careless.lease.Release();
  EXPECT_DEATH(cache_->Flush(), "holds a lease on it");
  EXPECT_DEATH(cache_->Check(), "holds a lease on it");
  End(std::move(careless));
}

TEST_F(PrefixCacheDeathTest, ALeaseThatOutlivesItsCache) {
  RunAndEnd({1, 2, 3, 4});
  Lease lease = cache_->Match("", Words{1, 2, 3, 4}, 4).lease;
  EXPECT_DEATH(cache_.reset(), "no lease outlives its cache");
}

}  // namespace
}  // namespace reprise

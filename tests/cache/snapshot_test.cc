// Snapshots of recurrent states: found by tokens, evicted by themselves, held for promises.

#include <gtest/gtest.h>

#include <chrono>

#include "cache/scope.h"
#include "prefix_cache_fixture.h"

namespace reprise {
namespace {

class SnapshotTest : public PrefixCacheTest {
 protected:
  void ResetStates(size_t states, size_t working, size_t pinned = 0, size_t blocks = 8) {
    cache_.reset();
    pool_ = BlockPool::Create(blocks, kBlockTokens * sizeof(TokenId)).value();
    arena_ = BlockPool::Create(states, sizeof(size_t)).value();
    cache_ = std::make_unique<PrefixCache>(pool_.get(), &clock_,
                                           PrefixCache::Options{.block_tokens = kBlockTokens,
                                                                .pin_blocks = 4,
                                                                .states = arena_.get(),
                                                                .working_states = working,
                                                                .pin_snapshots = pinned});
  }
  ~SnapshotTest() override { Reset(1); }  // the arena goes before the cache would

  // Runs `tokens`, keeping a state that says how many they are; it ends if `states` does.
  void Keep(const Words& tokens, std::string_view scope = "") {
    Sequence sequence = Run(tokens, scope);
    StateReference state = cache_->TakeState({});
    const size_t count = tokens.size();
    std::memcpy(state.data(), &count, sizeof(count));
    Reservation none;
    cache_->PublishState(scope, tokens, sequence.lease, state, StateUse::kGive, none);
    End(std::move(sequence));
  }
  // What the state says that is read for `tokens`; 0: there is none.
  size_t Read(const Words& tokens, std::string_view scope = "") {
    PrefixMatch match = cache_->Match(scope, tokens, tokens.size());
    size_t count = 0;
    if (!match.state.empty()) std::memcpy(&count, match.state.data(), sizeof(count));
    EXPECT_EQ(match.tokens, count);
    return count;
  }

  std::unique_ptr<BlockPool> arena_;
};

TEST_F(SnapshotTest, APrefixIsReadUpToItsDeepestSnapshot) {
  ResetStates(4, 1);
  Keep({1, 2, 3});
  Keep({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(Read({1, 2, 3, 4, 5, 6, 7}), 6U);
  EXPECT_EQ(Read({1, 2, 3, 4, 5}), 3U);
  EXPECT_EQ(Read({1, 2, 3, 9}), 3U);
  EXPECT_EQ(Read({1, 2}), 0U);
  EXPECT_EQ(Read({1, 2, 3, 4}, "another"), 0U);
  const PrefixMatch match = cache_->Match("", Words{1, 2, 3, 4, 5, 9}, 6);
  EXPECT_EQ(match.tokens, 3U);
  EXPECT_EQ(match.known, 5U) << "so far go K and V";
}

TEST_F(SnapshotTest, ABrotherInTheTreeKeepsASnapshotAndTheLastTakesIt) {
  ResetStates(4, 1);
  Keep({1, 2, 3, 4});
  Keep({1, 2});  // stands in the same node
  RunAndEnd({1, 2, 7});
  EXPECT_EQ(Read({1, 2, 7}), 2U);
  std::vector<BlockId> taken = TakeAllFree();
  taken.push_back(cache_->Allocate().value());  // evicts 1 2 3 4, used before the other
  EXPECT_EQ(Cached({1, 2, 3}), 2U);
  EXPECT_EQ(cache_->sizes().snapshots, 1U);
  EXPECT_EQ(Read({1, 2, 3, 4}), 2U);
  taken.push_back(cache_->Allocate().value());
  EXPECT_EQ(cache_->sizes().snapshots, 0U);
  GiveBack(taken);
}

TEST_F(SnapshotTest, TheOneUsedLongestAgoGoesForAnotherStateAndItsBlockStays) {
  ResetStates(3, 1);
  Keep({1});
  Keep({2});
  EXPECT_EQ(Read({1}), 1U);
  Keep({3});
  Keep({4});
  EXPECT_EQ(Cached({2}), 1U);
  EXPECT_EQ(Read({2}), 0U);
  EXPECT_EQ(Read({3}), 1U);
  EXPECT_EQ(cache_->counters().evicted_snapshots, 1U);
}

TEST_F(SnapshotTest, AStateIsCopiedSoThatItsSnapshotStays) {
  ResetStates(3, 2);
  Keep({1, 2});
  PrefixMatch match = cache_->Match("", Words{1, 2, 3}, 3);
  StateReference own = cache_->TakeState(std::move(match.state));
  const size_t other = 99;
  std::memcpy(own.data(), &other, sizeof(other));
  EXPECT_EQ(Read({1, 2, 3}), 2U);
  StateReference second = cache_->TakeState({});
  EXPECT_FALSE(second.empty());
  EXPECT_TRUE(cache_->TakeState({}).empty()) << "two are all that sequences may have";
}

TEST_F(SnapshotTest, APromiseKeepsItsSnapshotAndWhatHasNoneIsRefused) {
  ResetStates(4, 1, 1);
  Keep({1, 2, 3, 4, 5});
  Keep({1, 2, 3});
  const std::vector<Breakpoint> marks = {
      {3, std::chrono::minutes(5)}, {4, std::chrono::minutes(5)}, {5, std::chrono::minutes(5)}};
  Reservation reservation;
  const auto outcomes =
      cache_->Promise("", Words{1, 2, 3, 4, 5}, marks, clock_.Now(), reservation, 5);
  EXPECT_EQ(outcomes[0].decision, PinDecision::kAccepted);
  EXPECT_EQ(outcomes[1].decision, PinDecision::kPoolFull);
  EXPECT_EQ(outcomes[2].decision, PinDecision::kPoolFull) << "one snapshot is all they may hold";
  for (TokenId i = 10; i < 20; ++i) Keep({i});
  EXPECT_EQ(Read({1, 2, 3, 4, 5}), 3U);
  clock_.Advance(std::chrono::minutes(5));
  cache_->Expire();
  EXPECT_EQ(cache_->sizes().pinned_snapshots, 0U);
}

// Its block was only shared with a longer one, which is evicted before the block is full.
TEST_F(SnapshotTest, APendingBreakpointsSnapshotOutlivesItsBlockAndGoesWithTheReservation) {
  ResetStates(4, 1, 3);
  RunAndEnd({1, 2, 3, 4});
  const Words prompt = {1, 2, 9, 9, 9, 9};
  const std::vector<Breakpoint> marks = {{2, std::chrono::minutes(5)},
                                         {6, std::chrono::minutes(5)}};
  Reservation reservation;
  cache_->Promise("", prompt, marks, clock_.Now(), reservation, 0);
  EXPECT_EQ(cache_->sizes().reserved_snapshots, 2U);
  Lease lease;
  const Words published = {1, 2};
  const BlockId block = cache_->Publish("", published, 0, Compute(published), lease);
  StateReference state = cache_->TakeState({});
  cache_->PublishState("", published, lease, state, StateUse::kCopy, reservation);
  cache_->Fulfil(reservation, published);
  EXPECT_EQ(cache_->sizes().promises, 0U);
  std::vector<BlockId> taken = TakeAllFree();
  taken.push_back(cache_->Allocate().value());
  EXPECT_EQ(Cached({1, 2}), 0U);
  EXPECT_EQ(cache_->sizes().pinned_snapshots, 1U);
  EXPECT_EQ(cache_->PeekReadable("", prompt, 6), 0U) << "without K and V";
  EXPECT_EQ(Read(prompt), 0U);
  cache_->Check();
  cache_->Conclude(reservation, published);
  EXPECT_EQ(cache_->sizes().snapshots, 0U);
  EXPECT_EQ(cache_->sizes().reserved_snapshots, 0U);
  cache_->Check();
  taken.push_back(block);
  GiveBack(taken);
}

TEST_F(SnapshotTest, AFlushLeavesNone) {
  ResetStates(4, 1);
  Keep({1, 2, 3, 4});
  const Sequence holds = Run({1, 2, 3, 4, 5});
  EXPECT_EQ(cache_->sizes().snapshots, 1U);
  cache_->Flush();
  EXPECT_EQ(cache_->sizes().snapshots, 0U) << "also where blocks are in use";
  EXPECT_EQ(Cached({1, 2, 3, 4, 5}), 5U);
  for (const BlockId block : holds.table) pool_->Release(block);
}

TEST_F(SnapshotTest, TenantsAreCountedApart) {
  ResetStates(6, 1);
  Keep({1}, ScopeOf("x", ""));
  Keep({1}, ScopeOf("x", "key"));
  Keep({1}, ScopeOf("y", ""));
  const std::vector<TenantSizes> tenants = cache_->tenants();
  ASSERT_EQ(tenants.size(), 2U);
  EXPECT_EQ(tenants[0].snapshots, 2U);
  EXPECT_EQ(tenants[1].snapshots, 1U);
}

}  // namespace
}  // namespace reprise

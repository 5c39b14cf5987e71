// Promises: what a breakpoint keeps, how long, within which share; and whose time is up.

#include "cache/scope.h"
#include "prefix_cache_fixture.h"

namespace reprise {
namespace {

using std::chrono::seconds;

class PromiseTest : public PrefixCacheTest {
 protected:
  PromiseTest() { Reset(12, seconds(10), 6); }

  // A request that marks these places: computed, published and ended. Which were accepted?
  std::vector<bool> Mark(const Words& tokens, const std::vector<Breakpoint>& breakpoints,
                         std::string_view scope = "") {
    cache_->Renew(scope, tokens, clock_.Now());
    Reservation reservation;
    std::vector<bool> accepted;
    for (const BreakpointOutcome& outcome :
         cache_->Promise(scope, tokens, breakpoints, clock_.Now(), reservation))
      accepted.push_back(outcome.accepted());
    Sequence sequence = Run(tokens, scope);
    cache_->Fulfil(reservation, tokens);
    EXPECT_TRUE(reservation.empty());
    End(std::move(sequence));
    cache_->Check();
    return accepted;
  }
  void Read(const Words& tokens) {
    cache_->Renew("", tokens, clock_.Now());
    cache_->Match("", tokens, tokens.size());
  }
  // As much as the pool holds beside promises, three times.
  void MakeNoise() {
    for (int i = 0; i < 3; ++i) GiveBack(TakeEverything());
  }
  std::vector<BlockId> TakeEverything() {
    std::vector<BlockId> blocks;
    while (const auto block = cache_->Allocate()) blocks.push_back(*block);
    return blocks;
  }
  void Pass(Duration time) {
    clock_.Advance(time);
    cache_->Expire();
    cache_->Check();
  }
};

using PromiseDeathTest = PromiseTest;
using Accepted = std::vector<bool>;

TEST_F(PromiseTest, KeepsItsPrefixUnderAnyPressureUntilItsTimeIsUp) {
  EXPECT_EQ(Mark({1, 2, 3, 4, 5, 6, 7, 8, 9}, {{8, seconds(60)}}), Accepted{true});
  RunAndEnd({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  for (int second = 0; second < 60; ++second) {
    MakeNoise();
    EXPECT_EQ(Cached({1, 2, 3, 4, 5, 6, 7, 8, 9}), 8u) << "second " << second;
    Pass(seconds(1) - Duration(second == 59));
  }
  EXPECT_EQ(Cached({1, 2, 3, 4, 5, 6, 7, 8}), 8u);
  Pass(Duration(1));
  EXPECT_EQ(Cached({1, 2, 3, 4, 5, 6, 7, 8}), 0u) << "idle for longer than the retention";
  EXPECT_EQ(cache_->counters().expired_promises, 1u);
  EXPECT_EQ(pool_->free_blocks(), pool_->block_count());
}

TEST_F(PromiseTest, WhatWasReadOfLateLivesOnWhenItsPromiseEnds) {
  Mark({1, 2, 3, 4}, {{4, seconds(60)}});
  Pass(seconds(55));
  cache_->Match("", Words{1, 2, 3, 4},
                3);  // touched, but no request: the promise goes on as it was
  EXPECT_EQ(cache_->next_expiry(), clock_.Now() + seconds(5));
  Pass(seconds(5));
  EXPECT_EQ(cache_->sizes().pinned_blocks, 0u);
  EXPECT_EQ(Cached({1, 2, 3, 4}), 4u);
  EXPECT_EQ(cache_->next_expiry(), clock_.Now() + seconds(5));
  MakeNoise();
  EXPECT_EQ(Cached({1, 2, 3, 4}), 0u) << "an automatic entry again";
}

TEST_F(PromiseTest, HoldsTheWholeNodeWhereverInsideItStands) {
  EXPECT_EQ(Mark({1, 2, 3, 4, 5, 6}, {{1, seconds(60)}}), Accepted{true});
  MakeNoise();
  EXPECT_EQ(Cached({1, 2, 3, 4, 5, 6}), 4u);
  EXPECT_EQ(Mark({1, 2, 3, 4, 5, 6}, {{5, seconds(60)}}), Accepted{true});
  MakeNoise();
  EXPECT_EQ(Cached({1, 2, 3, 4, 5, 6}), 6u);
}

TEST_F(PromiseTest, AHitThatReadsSoFarRenewsItAndAShorterOneDoesNot) {
  Mark({1, 2, 3, 4, 5, 6}, {{3, seconds(60)}, {6, seconds(60)}});
  Pass(seconds(40));
  Read({1, 2, 3, 4, 5, 9});
  Pass(seconds(40));
  MakeNoise();
  EXPECT_EQ(Cached({1, 2, 3, 4, 5, 6}), 4u);
  Read({1, 2, 3});
  Pass(seconds(59));
  MakeNoise();
  EXPECT_EQ(Cached({1, 2, 3, 4}), 4u);
  Pass(seconds(1));
  EXPECT_EQ(Cached({1, 2, 3, 4}), 0u);
}

TEST_F(PromiseTest, ARenewalCountsFromTheStartOfItsRequest) {
  Mark({1, 2, 3, 4}, {{4, seconds(60)}});
  const TimePoint begin = clock_.Now();
  clock_.Advance(seconds(61));
  cache_->Renew("", Words{1, 2, 3, 4}, begin + seconds(60));  // began when it was over
  EXPECT_EQ(cache_->next_expiry(), begin + seconds(60));
  cache_->Renew("", Words{1, 2, 3, 4}, begin + seconds(60) - Duration(1));  // came in time, waited
  EXPECT_EQ(cache_->next_expiry(), begin + seconds(120) - Duration(1));
}

TEST_F(PromiseTest, MarkingAgainNeverShortensAndLengthens) {
  Mark({1, 2, 3, 4}, {{4, seconds(60)}});
  const TimePoint begin = clock_.Now();
  Mark({1, 2, 3, 4}, {{4, seconds(5)}});
  EXPECT_EQ(cache_->next_expiry(), begin + seconds(60));
  Mark({1, 2, 3, 4}, {{4, std::chrono::hours(1)}});
  EXPECT_EQ(cache_->next_expiry(), begin + std::chrono::hours(1));
  EXPECT_EQ(cache_->sizes().promises, 1u);
  EXPECT_EQ(cache_->sizes().promises_to_5m, 0u);
  EXPECT_EQ(cache_->sizes().promises_to_1h, 1u);
  Mark({1, 2, 3, 4}, {{4, std::chrono::hours(2)}});
  EXPECT_EQ(cache_->sizes().promises_beyond_1h, 1u);
}

TEST_F(PromiseTest, WhenItsShareIsFullABreakpointIsNotAcceptedAndCachingGoesOn) {
  EXPECT_EQ(Mark({1, 2, 3, 4, 5, 6, 7, 8}, {{8, seconds(60)}}), Accepted{true});
  EXPECT_EQ(Mark(Words(20, 9), {{4, seconds(60)}, {17, seconds(60)}}), (Accepted{true, false}));
  EXPECT_EQ(Cached(Words(20, 9)), 20u);
  EXPECT_EQ(cache_->sizes().pinned_blocks, 3u);
  EXPECT_EQ(cache_->counters().refused_promises, 1u);
  EXPECT_EQ(Mark(Words(20, 9), {{13, seconds(30)}}), Accepted{true});
  EXPECT_EQ(cache_->sizes().pinned_blocks, 6u);
  EXPECT_EQ(Mark({30}, {{1, seconds(60)}}), Accepted{false});
  Pass(seconds(30));
  EXPECT_EQ(Mark({30}, {{1, seconds(60)}}), Accepted{true}) << "room came back with time";
}

TEST_F(PromiseTest, ASharedPathCountsOnce) {
  const Words system = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  EXPECT_EQ(Mark(system, {{16, seconds(60)}}), Accepted{true});
  EXPECT_EQ(Mark(system + Words{20, 21}, {{16, seconds(60)}, {18, seconds(60)}}),
            (Accepted{true, true}));
  EXPECT_EQ(Mark(system + Words{30}, {{17, seconds(60)}}), Accepted{true});
  EXPECT_EQ(Mark(system + Words{40}, {{12, seconds(60)}, {17, seconds(60)}}),
            (Accepted{true, false}));
  EXPECT_EQ(cache_->sizes().pinned_blocks, 6u);
}

TEST_F(PromiseTest, OnePromiseIsHeldOnceAmongBrothers) {
  Reset(12, seconds(10), 1);
  EXPECT_EQ(Mark({1, 2, 3}, {{2, seconds(60)}}), Accepted{true});
  RunAndEnd({1, 2, 9, 9});
  EXPECT_EQ(Mark({1, 2, 9, 9}, {{2, seconds(60)}}), Accepted{true});
  EXPECT_EQ(Mark({1, 2, 9, 9}, {{4, seconds(60)}}), Accepted{false});
  EXPECT_EQ(cache_->sizes().promises, 1u);
  Pass(seconds(30));
  Read({1, 2, 9, 9});
  Pass(seconds(59));
  MakeNoise();
  EXPECT_EQ(Cached({1, 2, 3}), 3u) << "a hit by way of a brother renews it";
}

TEST_F(PromiseTest, GoesAlongWhenItsNodeGrowsOrIsSuperseded) {
  Mark({1, 2}, {{2, seconds(60)}});
  RunAndEnd({1, 2, 3});  // in another block: a longer brother
  EXPECT_EQ(cache_->sizes().pinned_blocks, 1u);
  MakeNoise();
  EXPECT_EQ(Cached({1, 2, 3}), 3u);
  Sequence writer = Run({7});
  Mark({7}, {{1, seconds(60)}});
  writer.table[0] = cache_->Publish("", Words{7, 8}, 0, writer.table[0], writer.lease);
  End(std::move(writer));
  cache_->Check();
  MakeNoise();
  EXPECT_EQ(Cached({7, 8}), 2u);
}

TEST_F(PromiseTest, OneTenantCannotTakeTheShareOfOthers) {
  Reset(12, seconds(10), 6, 2);
  EXPECT_EQ(Mark(Words(12, 1), {{8, seconds(60)}, {12, seconds(60)}}, "x"),
            (Accepted{true, false}));
  EXPECT_EQ(Mark(Words(8, 1), {{8, seconds(60)}}, "y"), Accepted{true});
  EXPECT_EQ(Mark({2}, {{1, seconds(60)}}, "y"), Accepted{false});
}

TEST_F(PromiseTest, ATenantsShareIsOneForAllItsCacheKeys) {
  Reset(12, seconds(10), 6, 2);
  EXPECT_EQ(Mark(Words(8, 1), {{4, seconds(60)}}, ScopeOf("x", "one")), Accepted{true});
  EXPECT_EQ(Mark(Words(8, 1), {{4, seconds(60)}, {8, seconds(60)}}, ScopeOf("x", "two")),
            (Accepted{true, false}));
  EXPECT_EQ(Mark({2}, {{1, seconds(60)}}, "x"), Accepted{false});
  EXPECT_EQ(Mark({2}, {{1, seconds(60)}}, "xx"), Accepted{true});
  ASSERT_EQ(cache_->tenants().size(), 2u);
  EXPECT_EQ(cache_->tenants()[0].tenant, "x");
  EXPECT_EQ(cache_->tenants()[0].pinned_blocks, 2u);
}

TEST_F(PromiseTest, ARefusalSaysWhoseShareIsFull) {
  Reset(12, seconds(10), 3, 2);
  const auto decide = [this](const std::string& tenant, size_t tokens) {
    Reservation reservation;
    return cache_
        ->Promise(tenant, Words(tokens, 1), std::vector<Breakpoint>{{tokens, seconds(60)}},
                  clock_.Now(), reservation)
        .at(0)
        .decision;
  };
  EXPECT_EQ(decide("x", 8), PinDecision::kAccepted);
  EXPECT_EQ(decide("x", 12), PinDecision::kTenantFull);
  Mark(Words(8, 1), {{8, seconds(60)}}, "x");
  EXPECT_EQ(decide("y", 4), PinDecision::kAccepted);
  EXPECT_EQ(decide("y", 8), PinDecision::kPoolFull);
  EXPECT_EQ(decide("x", 12), PinDecision::kTenantFull) << "the pool's share is full for it too";
}

// -- Reservations -------------------------------------------------------------------------------

TEST_F(PromiseTest, WhatWasAcceptedIsReservedUntilItIsPublished) {
  const Words tokens(20, 1);
  Reservation first;
  cache_->Promise("", tokens, std::vector<Breakpoint>{{17, seconds(60)}}, clock_.Now(), first);
  EXPECT_EQ(cache_->sizes().reserved_blocks, 5u);
  Reservation second;
  const auto outcomes =
      cache_->Promise("", Words(8, 2), std::vector<Breakpoint>{{4, seconds(60)}, {8, seconds(60)}},
                      clock_.Now(), second);
  EXPECT_TRUE(outcomes[0].accepted());
  EXPECT_FALSE(outcomes[1].accepted()) << "room for one block was left";
  Sequence sequence = Run(Words(8, 1));
  cache_->Fulfil(first, std::span(tokens).first(8));
  EXPECT_EQ(cache_->sizes().reserved_blocks, 3u + 1u);
  End(std::move(sequence));
  MakeNoise();
  EXPECT_EQ(Cached(tokens), 8u) << "held while the request waits or runs";
  cache_->Flush();
  EXPECT_EQ(Cached(tokens), 8u) << "it is in use";
  cache_->Check();
}

TEST_F(PromiseTest, ARequestThatEndsEarlyKeepsWhatItReachedAndGivesBackTheRest) {
  const Words tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  Reservation reservation;
  cache_->Promise("", tokens,
                  std::vector<Breakpoint>{{2, seconds(60)}, {6, seconds(60)}, {12, seconds(60)}},
                  clock_.Now(), reservation);
  Sequence sequence = Run({1, 2, 3, 4, 5, 6, 7});
  cache_->Conclude(reservation, std::span(tokens).first(7));
  End(std::move(sequence));
  EXPECT_TRUE(reservation.empty());
  EXPECT_EQ(cache_->sizes().promises, 2u);
  EXPECT_EQ(cache_->sizes().reserved_blocks, 0u);
  MakeNoise();
  EXPECT_EQ(Cached(tokens), 7u);
}

TEST_F(PromiseTest, FlushEndsPromises) {
  Mark({1, 2, 3, 4, 5}, {{5, seconds(60)}});
  EXPECT_EQ(cache_->Flush(), 2u);
  EXPECT_EQ(cache_->sizes().promises, 0u);
  EXPECT_EQ(pool_->free_blocks(), pool_->block_count());
  EXPECT_FALSE(cache_->next_expiry().has_value());
}

TEST_F(PromiseDeathTest, AReservationThatOutlivesItsCache) {
  Reservation reservation;
  cache_->Promise("", Words{1}, std::vector<Breakpoint>{{1, seconds(60)}}, clock_.Now(),
                  reservation);
  EXPECT_DEATH(cache_.reset(), "no reservation outlives its cache");
}

TEST_F(PromiseDeathTest, BreakpointsThatDoNotAscendWithinThePrompt) {
  Reservation reservation;
  const auto promise = [&](std::vector<Breakpoint> breakpoints) {
    cache_->Promise("", Words{1, 2}, breakpoints, clock_.Now(), reservation);
  };
  EXPECT_DEATH(promise({{0, seconds(1)}}), "ascend within the prompt");
  EXPECT_DEATH(promise({{3, seconds(1)}}), "ascend within the prompt");
  EXPECT_DEATH(promise({{2, seconds(1)}, {1, seconds(1)}}), "ascend within the prompt");
}

}  // namespace
}  // namespace reprise

// What the cache remembers of what it dropped.

#include "cache/drop_log.h"

#include <map>
#include <random>

#include "prefix_cache_fixture.h"

namespace reprise {
namespace {

using internal::DropLog;
using std::chrono::seconds;

Loss At(int64_t when) { return {LossCause::kExpired, TimePoint(Duration(when)), {}}; }

TEST(DropLogTest, FindsADropByItsBlockAndByItsFirstToken) {
  DropLog log(8, 4);
  log.Add(1, Words{5, 6, 7, 8}, At(1));
  EXPECT_EQ(log.Find(1, Words{5, 6, 7, 8, 9}, 0), At(1));
  EXPECT_EQ(log.Find(1, Words{5}, 0), At(1)) << "a shorter prompt";
  EXPECT_EQ(log.Find(1, Words{5, 0, 0, 0}, 0), At(1)) << "a prompt that parts from it further on";
  EXPECT_EQ(log.Find(1, Words{6, 6, 7, 8}, 0), std::nullopt);
  EXPECT_EQ(log.Find(2, Words{5, 6, 7, 8}, 0), std::nullopt) << "behind another path";
}

TEST(DropLogTest, WhatWouldHaveGoneOnNoFurtherIsNoLoss) {
  DropLog log(8, 4);
  log.Add(1, Words{5, 6, 7, 8}, At(1));
  EXPECT_EQ(log.Find(1, Words{5, 6, 1, 1}, 1), At(1));
  EXPECT_EQ(log.Find(1, Words{5, 6, 1, 1}, 2), std::nullopt);
}

TEST(DropLogTest, TheWholeBlockCountsBeforeALaterOneOfTheSameFirstToken) {
  DropLog log(8, 4);
  log.Add(1, Words{5, 6, 7, 8}, At(1));
  log.Add(1, Words{5, 9, 9, 9}, At(2));
  log.Add(1, Words{5, 4}, At(3));
  EXPECT_EQ(log.Find(1, Words{5, 6, 7, 8}, 0), At(1));
  EXPECT_EQ(log.Find(1, Words{5, 9, 9, 9, 1}, 0), At(2));
  EXPECT_EQ(log.Find(1, Words{5, 6, 7}, 0), At(3));
  log.Add(1, Words{5, 6, 7, 8}, At(4));
  EXPECT_EQ(log.Find(1, Words{5, 6, 7, 8}, 0), At(4)) << "the last drop of it";
}

TEST(DropLogTest, ForgetsTheOldestFirstAndNothingElse) {
  constexpr size_t kCapacity = 5;
  DropLog log(kCapacity, 2);
  for (TokenId i = 0; i < 40; ++i) {
    log.Add(7, Words{i, i}, At(i));
    EXPECT_LE(log.size(), kCapacity);
    for (TokenId j = 0; j <= i; ++j) {
      const bool remembered = j > i - static_cast<TokenId>(kCapacity);
      EXPECT_EQ(log.Find(7, Words{j, j}, 0).has_value(), remembered) << j << " after " << i;
      EXPECT_EQ(log.Find(7, Words{j, 99}, 0).has_value(), remembered) << j << " after " << i;
    }
  }
}

TEST(DropLogTest, ForgettingAnOlderDropOfTheSameBlockKeepsTheLater) {
  DropLog log(2, 2);
  log.Add(7, Words{1, 1}, At(1));
  log.Add(7, Words{1, 1}, At(2));
  log.Add(7, Words{2, 2}, At(3));  // in the place of the first
  EXPECT_EQ(log.Find(7, Words{1, 1}, 0), At(2));
}

TEST(DropLogTest, WithoutRoomRemembersNothing) {
  DropLog log(0, 2);
  log.Add(7, Words{1, 1}, At(1));
  EXPECT_EQ(log.Find(7, Words{1, 1}, 0), std::nullopt);
}

class LossTest : public PrefixCacheTest {
 protected:
  // Why a lookup of `tokens` ends where it does.
  std::optional<Loss> LostOf(const Words& tokens, std::string_view scope = "") {
    return cache_->Match(scope, tokens, tokens.size()).lost;
  }
};

const Words kPrompt = {1, 2, 3, 4, 5, 6, 7, 8, 9};

TEST_F(LossTest, WhatWasNeverCachedIsNotLost) {
  EXPECT_EQ(LostOf(kPrompt), std::nullopt);
  RunAndEnd(kPrompt);
  EXPECT_EQ(LostOf(kPrompt), std::nullopt) << "a hit";
  EXPECT_EQ(LostOf(kPrompt + Words{10, 11}), std::nullopt) << "goes on behind what is cached";
}

TEST_F(LossTest, EvictionSaysWhenAndForWhom) {
  RunAndEnd(kPrompt);
  clock_.Advance(seconds(3));
  const std::vector<BlockId> free = TakeAllFree();
  const TimePoint evicted = clock_.Now();
  const BlockId tail = cache_->Allocate(SequenceId{41}).value();
  const BlockId second = cache_->Allocate(SequenceId{42}).value();
  clock_.Advance(seconds(1));
  EXPECT_EQ(LostOf(kPrompt), (Loss{LossCause::kEvicted, evicted, SequenceId{42}}))
      << "the first block that is missing";
  EXPECT_EQ(LostOf({1, 2, 3, 4}), std::nullopt) << "is still there";
  const BlockId first = cache_->Allocate().value();
  EXPECT_EQ(LostOf(kPrompt)->for_whom, SequenceId{}) << "the whole scope is gone";
  GiveBack(free);
  GiveBack({tail, second, first});
}

TEST_F(LossTest, IdlenessExpires) {
  RunAndEnd(kPrompt);
  clock_.Advance(seconds(10));
  cache_->Expire();
  const TimePoint expired = clock_.Now();
  clock_.Advance(seconds(5));
  EXPECT_EQ(LostOf(kPrompt), (Loss{LossCause::kExpired, expired, {}}));
}

TEST_F(LossTest, APromiseThatEndedExpiresToo) {
  Reset(8, seconds(10), 8);
  Sequence sequence = Run(kPrompt);
  Reservation reservation;
  const Breakpoint breakpoint{kPrompt.size(), seconds(30)};
  cache_->Promise("", kPrompt, {&breakpoint, 1}, clock_.Now(), reservation);
  End(std::move(sequence));
  clock_.Advance(seconds(20));
  cache_->Expire();
  EXPECT_EQ(LostOf(kPrompt), std::nullopt) << "promised still";
  clock_.Advance(seconds(10));
  cache_->Expire();
  EXPECT_EQ(LostOf(kPrompt)->cause, LossCause::kExpired);
}

TEST_F(LossTest, FlushingSaysSo) {
  RunAndEnd(kPrompt, "a");
  cache_->Flush();
  EXPECT_EQ(LostOf(kPrompt, "a"), (Loss{LossCause::kFlushed, clock_.Now(), {}}));
  EXPECT_EQ(LostOf(kPrompt, "b"), std::nullopt) << "of another scope nothing is told";
}

TEST_F(LossTest, WhatIsCachedAgainIsNotLost) {
  RunAndEnd(kPrompt);
  cache_->Flush();
  RunAndEnd(kPrompt);
  EXPECT_EQ(LostOf(kPrompt), std::nullopt);
  EXPECT_EQ(LostOf(kPrompt + Words{10, 11, 12, 13}), std::nullopt);
}

TEST_F(LossTest, WhereOnlyABrotherWasLostNothingIs) {
  RunAndEnd({1, 2, 3, 4});
  cache_->Flush();
  RunAndEnd({1, 2, 9, 9});
  EXPECT_EQ(LostOf({1, 2, 5, 5}), std::nullopt) << "what it had in common is cached again";
  EXPECT_TRUE(LostOf({1, 2, 3, 5}));
}

TEST_F(LossTest, ASupersededLeafIsNoLoss) {
  RunAndEnd({1, 2});
  RunAndEnd({1, 2, 3});  // the longer leaf takes its place
  EXPECT_EQ(LostOf({1, 2, 9}), std::nullopt);
}

TEST_F(LossTest, MemoryIsBounded) {
  cache_.reset();
  cache_ = std::make_unique<PrefixCache>(
      pool_.get(), &clock_,
      PrefixCache::Options{.block_tokens = kBlockTokens, .remembered_losses = 2});
  for (TokenId i = 1; i <= 3; ++i) RunAndEnd({10 * i, 1, 1, 1});
  cache_->Flush();
  EXPECT_EQ(LostOf({10, 1, 1, 1}), std::nullopt) << "the oldest";
  EXPECT_TRUE(LostOf({20, 1, 1, 1}) && LostOf({30, 1, 1, 1}));
}

// Prompts over three letters in a small pool: what was published once and is not there any more has
// a cause that did happen since, and nothing else does.
TEST_F(LossTest, WhateverIsMissingHasACause) {
  constexpr uint32_t kSeed = 20261125;
  std::mt19937 random(kSeed);
  Reset(12);
  std::map<Words, TimePoint> published;  // whole blocks from the root, and when last
  std::map<LossCause, TimePoint> last;   // when each last happened
  for (int step = 0; step < 4000; ++step) {
    clock_.Advance(seconds(1));
    const auto kind = random() % 40;
    if (kind == 0) {
      cache_->Flush();
      last[LossCause::kFlushed] = clock_.Now();
    } else if (kind < 3) {
      clock_.Advance(seconds(8));
      if (cache_->Expire() > 0) last[LossCause::kExpired] = clock_.Now();
    }
    Words prompt;
    for (size_t i = 4 + random() % 16; i > 0; --i)
      prompt.push_back(static_cast<TokenId>(random() % 3));
    const uint64_t evicted = cache_->counters().evicted_blocks;
    const std::optional<Loss> lost = LostOf(prompt);
    const size_t cached = Cached(prompt);
    const size_t next = cached / kBlockTokens * kBlockTokens + kBlockTokens;
    if (cached == prompt.size()) {
      EXPECT_EQ(lost, std::nullopt);
    } else if (next <= prompt.size()) {
      const auto known = published.find({prompt.begin(), prompt.begin() + static_cast<long>(next)});
      if (known != published.end()) {
        ASSERT_TRUE(lost) << "step " << step << ", seed " << kSeed;
        EXPECT_GE(lost->when, known->second);
        EXPECT_LE(lost->when, last[lost->cause]);
      }
    }
    RunAndEnd(prompt);
    if (cache_->counters().evicted_blocks > evicted) last[LossCause::kEvicted] = clock_.Now();
    for (size_t end = kBlockTokens; end <= prompt.size(); end += kBlockTokens) {
      published[{prompt.begin(), prompt.begin() + static_cast<long>(end)}] = clock_.Now();
    }
  }
  EXPECT_EQ(last.size(), 3U) << "all causes came about";
}

}  // namespace
}  // namespace reprise

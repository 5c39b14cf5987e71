// What promises are for: how much of marked and unmarked prompts is read back while much more than
// the pool holds passes through, and at the very moment when a promise ends.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "base/clock.h"
#include "cache/block_pool.h"
#include "cache/prefix_cache.h"

namespace reprise {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr size_t kBlockTokens = 32;
constexpr size_t kConversations = 50;
constexpr size_t kMarkedTokens = 1000;  // ends inside a block
constexpr size_t kBlocksPerPrefix = (kMarkedTokens + kBlockTokens - 1) / kBlockTokens;
constexpr size_t kPoolBlocks = 2 * kConversations * kBlocksPerPrefix + 100;
constexpr Duration kFiveMinutes = minutes(5);

class HitRateTest : public testing::Test {
 protected:
  using Words = std::vector<TokenId>;

  HitRateTest() {
    pool_ = BlockPool::Create(kPoolBlocks, kBlockTokens * sizeof(TokenId)).value();
    cache_ = std::make_unique<PrefixCache>(
        pool_.get(), &clock_,
        PrefixCache::Options{.block_tokens = kBlockTokens,
                             .retention = minutes(2),  // shorter than the promises
                             .pin_blocks = kPoolBlocks / 2});
  }

  Words Prefix(size_t conversation) {
    Words tokens(kMarkedTokens);
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = static_cast<TokenId>(i == 0 ? conversation : i);
    return tokens;
  }
  Words NewTokens(size_t count) {
    Words tokens(count);
    for (TokenId& token : tokens) token = next_++;
    return tokens;
  }
  static void Append(Words& tokens, const Words& more) {
    tokens.insert(tokens.end(), more.begin(), more.end());
  }

  // One request from its start to its end; returns the tokens read, whose rows are checked.
  size_t Ask(const Words& tokens, const std::vector<Breakpoint>& breakpoints) {
    const TimePoint start = clock_.Now();
    cache_->Renew("", tokens, start);
    if (between_arrival_and_match_) between_arrival_and_match_();
    cache_->Expire();
    PrefixMatch match = cache_->Match("", tokens, tokens.size() - 1);
    std::vector<BlockId> table = match.blocks;
    for (const BlockId block : table) pool_->Reference(block);
    while (table.size() * kBlockTokens < tokens.size()) {
      const BlockId block = cache_->Allocate().value();
      if (table.size() == match.blocks.size() && match.partial) pool_->Copy(*match.partial, block);
      table.push_back(block);
    }
    match.partial_lease.Release();
    Reservation reservation;
    for (const BreakpointOutcome& outcome :
         cache_->Promise("", tokens, breakpoints, start, reservation))
      EXPECT_TRUE(outcome.accepted());

    for (size_t i = 0; i < tokens.size(); ++i) {
      std::byte* row = pool_->data(table[i / kBlockTokens]) + i % kBlockTokens * sizeof(TokenId);
      TokenId found = 0;
      std::memcpy(&found, row, sizeof(found));
      if (i >= match.tokens) {
        std::memcpy(row, &tokens[i], sizeof(TokenId));
      } else if (found != tokens[i]) {
        ADD_FAILURE() << "a foreign row at " << i;
        break;
      }
    }
    for (size_t first = match.blocks.size() * kBlockTokens; first < tokens.size();
         first += kBlockTokens) {
      const size_t end = std::min(first + kBlockTokens, tokens.size());
      BlockId& block = table[first / kBlockTokens];
      block = cache_->Publish("", std::span(tokens).first(end), first, block, match.lease);
    }
    cache_->Conclude(reservation, tokens);
    for (const BlockId block : table) pool_->Release(block);
    return match.tokens;
  }

  // Prompts that nobody asks again, `blocks` blocks of them.
  void MakeNoise(size_t blocks) {
    for (size_t made = 0; made < blocks; made += 20) Ask(NewTokens(20 * kBlockTokens), {});
  }

  ManualClock clock_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<PrefixCache> cache_;
  TokenId next_ = 1'000'000;
  std::function<void()> between_arrival_and_match_;
};

TEST_F(HitRateTest, MarkedPrefixesAreReadInFullEveryTimeUntilTheirTimeIsUp) {
  for (int round = 0; round < 20; ++round) {
    for (size_t i = 0; i < kConversations; ++i) {
      Words tokens = Prefix(i);
      Append(tokens, NewTokens(40));
      EXPECT_EQ(Ask(tokens, {{kMarkedTokens, kFiveMinutes}}), round == 0 ? 0 : kMarkedTokens)
          << "conversation " << i << ", round " << round;
      MakeNoise(3 * kPoolBlocks / kConversations);
    }
    cache_->Check();
    clock_.Advance(kFiveMinutes - Duration(1));
    cache_->Expire();
  }
  EXPECT_GT(cache_->counters().evicted_blocks, 20 * 2 * kPoolBlocks);
  clock_.Advance(Duration(1));
  cache_->Expire();
  for (size_t i = 0; i < kConversations; ++i) EXPECT_EQ(cache_->Peek("", Prefix(i)), 0u);
  EXPECT_EQ(pool_->free_blocks(), pool_->block_count());
}

TEST_F(HitRateTest, UnmarkedPrefixesGoWithWhatWasLeastRecentlyUsed) {
  size_t read = 0;
  for (int round = 0; round < 5; ++round)
    for (size_t i = 0; i < kConversations; ++i) {
      read += Ask(Prefix(i), {});
      MakeNoise(3 * kPoolBlocks / kConversations);
    }
  EXPECT_EQ(read, 0u);
}

TEST_F(HitRateTest, AroundTheEndOfAPromiseAreHitsAndMissesAndNoWrongRows) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  size_t hits = 0;
  for (int request = 0; request < 200; ++request) {
    const Words tokens = Prefix(static_cast<size_t>(request) % kConversations);
    Ask(tokens, {{kMarkedTokens, kFiveMinutes}});
    const Duration off = milliseconds(static_cast<int>(random() % 201) - 100);
    clock_.Advance(kFiveMinutes + off);
    // It may wait for its turn until after the promise would have ended, while others evict.
    between_arrival_and_match_ = [&] {
      between_arrival_and_match_ = nullptr;
      clock_.Advance(milliseconds(random() % 2 * 300));
      MakeNoise(kPoolBlocks);
    };
    if (random() % 2 == 0) cache_->Expire();
    const size_t read = Ask(tokens, {});
    if (off < Duration::zero()) {
      EXPECT_EQ(read, kMarkedTokens - 1) << "it came in time";
    } else {
      EXPECT_EQ(read, 0u) << "it came too late";
    }
    hits += read > 0;
    cache_->Check();
    clock_.Advance(2 * kFiveMinutes);
    cache_->Expire();
  }
  EXPECT_GT(hits, 0u);
  EXPECT_LT(hits, 200u);
}

}  // namespace
}  // namespace reprise

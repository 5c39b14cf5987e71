#include "tiers/block_tier.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <thread>

#include "tier_fixture.h"

namespace reprise {
namespace {

using Fault = FaultyFiles::Fault;

class BlockTierTest : public ::testing::Test {
 protected:
  void Open(size_t queue_blocks = 64) {
    tier_.reset();
    auto store = DiskStore::Open({.folder = folder_.path(),
                                  .capacity_bytes = 100 * kTestRecord,
                                  .payload_bytes = kTestPayload},
                                 files_);
    ASSERT_TRUE(store);
    tier_ = std::make_unique<BlockTier>(
        *std::move(store), BlockTier::Options{.block_bytes = kTestPayload,
                                              .block_tokens = kTestTokens,
                                              .queue_bytes = queue_blocks * kTestPayload});
  }

  size_t Offer(const TestChain& chain) {
    size_t taken = 0;
    for (size_t i = 0; i < chain.keys.size(); ++i) {
      taken +=
          tier_->Offer(chain.Use(i, WallSecondsNow()), chain.tokens[i], chain.payloads[i].data());
    }
    return taken;
  }

  // Blocks that came; each is compared.
  size_t Fetch(const TestChain& chain, double compute_seconds = 1000) {
    TierFetch::Order order{chain.keys, {}, compute_seconds, [this] {
                             const std::lock_guard lock(mutex_);
                             ++news_;
                             changed_.notify_all();
                           }};
    for (const auto& tokens : chain.tokens) {
      order.tokens.insert(order.tokens.end(), tokens.begin(), tokens.end());
    }
    const auto fetch = tier_->Fetch(std::move(order));
    size_t came = 0;
    bool done = false;
    while (!done) {
      {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(
            changed_.wait_for(lock, std::chrono::seconds(20), [this] { return news_ > 0; }));
        news_ = 0;
      }
      for (TierFetch::Block& block : fetch->Take(done)) {
        const std::vector<std::byte> bytes(block.get(), block.get() + kTestPayload);
        EXPECT_EQ(bytes, chain.payloads[came++]);
        tier_->Recycle(std::move(block));
      }
    }
    return came;
  }

  void WaitForWritten(uint64_t blocks) {
    for (int i = 0; i < 2000 && tier_->counters().written < blocks; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(tier_->counters().written, blocks);
  }

  TestFolder folder_;
  FaultyFiles files_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int news_ = 0;
  std::unique_ptr<BlockTier> tier_;
};

TEST_F(BlockTierTest, WhatIsOfferedIsReadBackAlsoAfterItsEnd) {
  Open();
  const TestChain chain("a", 20), unknown("b", 3);
  EXPECT_EQ(Offer(chain), 20U);
  Open();  // its end writes what waits
  EXPECT_EQ(Fetch(chain), 20U);
  EXPECT_EQ(Fetch(unknown), 0U);
  const BlockTier::Counters counters = tier_->counters();
  EXPECT_EQ(counters.read, 20U);
  EXPECT_EQ(counters.sizes.records, 20U);
  EXPECT_GT(counters.bytes_per_second, 0);
  EXPECT_GT(counters.seconds_saved, 0);
}

TEST_F(BlockTierTest, AChainIsReadThroughAWindowSmallerThanIt) {
  Open();
  const TestChain chain("a", 30);
  Offer(chain);
  Open(/*queue_blocks=*/2);
  EXPECT_EQ(Fetch(chain), 30U);
}

TEST_F(BlockTierTest, WhatDoesNotFitTheQueueIsDroppedAndCounted) {
  Open(/*queue_blocks=*/3);
  files_.fault = Fault::kNone;
  const TestChain chain("a", 60);
  const size_t taken = Offer(chain);
  EXPECT_LT(taken, 60U);
  EXPECT_EQ(tier_->counters().queue_dropped, 60 - taken);
  WaitForWritten(taken);
}

TEST_F(BlockTierTest, AFaultIsAMissAndIsCounted) {
  Open();
  const TestChain chain("a", 6);
  files_.fault = Fault::kWriteFails;
  Offer(chain);
  for (int i = 0; i < 2000 && tier_->counters().write_failures == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GT(tier_->counters().write_failures, 0U);
  Open();
  files_.fault = Fault::kNone;
  EXPECT_EQ(Fetch(chain), 0U);
  Offer(chain);
  WaitForWritten(6);
  files_.fault = Fault::kReadFlipsABit;
  EXPECT_EQ(Fetch(chain), 0U);
  EXPECT_EQ(tier_->counters().corrupt, 1U);
  files_.fault = Fault::kReadFails;
  EXPECT_EQ(Fetch(chain), 0U) << "the first block is gone";
  EXPECT_EQ(tier_->counters().read_failures, 0U);
}

TEST_F(BlockTierTest, AStoreSlowerThanComputingIsLeftAlone) {
  Open();
  const TestChain chain("a", 40);
  Offer(chain);
  WaitForWritten(40);
  files_.read_delay_ms = 20;
  const double compute_seconds = 40 * 0.010;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_LT(Fetch(chain, compute_seconds), 8U) << "left as soon as it shows";
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took.count(), compute_seconds / 2);
  EXPECT_EQ(Fetch(chain, compute_seconds), 0U) << "not tried again for a while";
  EXPECT_EQ(tier_->counters().slow, 2U);
  EXPECT_EQ(Fetch(chain, 40 * 1.0), 40U) << "but read where computing would be slower";
}

TEST_F(BlockTierTest, ClearForgetsAlsoWhatWaits) {
  Open();
  const TestChain chain("a", 20);
  Offer(chain);
  std::mutex mutex;
  std::condition_variable changed;
  bool cleared = false;
  tier_->Clear([&](const Status& done) {
    EXPECT_TRUE(done);
    const std::lock_guard lock(mutex);
    cleared = true;
    changed.notify_one();
  });
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return cleared; }));
  lock.unlock();
  EXPECT_EQ(Fetch(chain), 0U);
  EXPECT_EQ(tier_->counters().sizes.records, 0U);
}

TEST_F(BlockTierTest, ACancelledFetchEndsAndTheNextIsServed) {
  Open();
  const TestChain chain("a", 30);
  Offer(chain);
  Open(/*queue_blocks=*/2);
  TierFetch::Order order{chain.keys, {}, 1000, [] {}};
  for (const auto& tokens : chain.tokens) {
    order.tokens.insert(order.tokens.end(), tokens.begin(), tokens.end());
  }
  const auto fetch = tier_->Fetch(std::move(order));
  fetch->Cancel();  // while it waits for somebody to take
  EXPECT_EQ(Fetch(chain), 30U);
}

}  // namespace
}  // namespace reprise

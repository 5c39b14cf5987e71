#include "engine/block_journal.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "base/fleet_limits.h"
#include "cache/block_pool.h"

namespace reprise {
namespace {

constexpr size_t kJournalBlockTokens = 2;
constexpr std::array<TokenId, 8> kTokens = {1, 2, 3, 4, 5, 6, 7, 8};

class BlockJournalTest : public ::testing::Test {
 protected:
  BlockJournalTest() { journal_.Watch(cache_, BlockView::kMemoryWithTokens, Sink(told_)); }

  static BlockSink Sink(std::vector<BlockChanges>& told) {
    return [&told](const std::shared_ptr<const BlockChanges>& changes) {
      told.push_back(*changes);
      return true;
    };
  }
  static std::span<const TokenId> TokensOf(uint32_t block) {
    return std::span(kTokens).subspan(block % 4 * kJournalBlockTokens, kJournalBlockTokens);
  }
  // Block i of the prompt 1 2 3 … is in block i of the pool, or i + 4.
  void Store(uint32_t block) {
    std::optional<BlockId> parent;
    if (block % 4 > 0) parent = BlockId{block - 1};
    journal_.OnStored("tenant", parent, BlockId{block}, TokensOf(block));
  }
  void Remove(uint32_t block) { journal_.OnRemoved(BlockId{block}); }

  ManualClock clock_;
  std::unique_ptr<BlockPool> pool_ = BlockPool::Create(8, 64).value();
  PrefixCache cache_{pool_.get(), &clock_, {.block_tokens = kJournalBlockTokens}};
  BlockJournal journal_{Sha256{}, 8};
  std::vector<BlockChanges> told_;
  const std::vector<BlockName> names_ = ChainOf(Sha256{}, "tenant", kTokens, kJournalBlockTokens);
};

TEST_F(BlockJournalTest, BlocksBehindOneAnotherAreOneRunWithTheirTokens) {
  for (uint32_t block = 0; block < 3; ++block) Store(block);
  journal_.Tell();
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_TRUE(told_[0].begins && told_[0].ends && told_[0].stored.empty());
  EXPECT_EQ(told_[1].sequence, 1U);
  EXPECT_EQ(told_[1].kind, BlockChanges::Kind::kChange);
  const BlockRun first = {std::nullopt, {names_[0], names_[1], names_[2]}, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(told_[1].stored, std::vector{first});
  Store(3);
  Remove(3);
  Store(3);
  journal_.Tell();
  const BlockRun second = {names_[2], {names_[3]}, {7, 8}};
  EXPECT_EQ(told_.back().stored, std::vector{second});
  EXPECT_TRUE(told_.back().removed.empty());
}

TEST_F(BlockJournalTest, WhatComesAndGoesBetweenTwoTellingsIsNotTold) {
  Store(0);
  Store(1);
  Remove(1);
  journal_.Tell();
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told_[1].stored, (std::vector<BlockRun>{{std::nullopt, {names_[0]}, {1, 2}}}));
  EXPECT_TRUE(told_[1].removed.empty());
  // What goes and comes again, in another block of the pool, was there all the time.
  Remove(0);
  Store(4);
  journal_.Tell();
  EXPECT_EQ(told_.size(), 2U) << "nothing has changed";
  Remove(4);
  Store(0);
  Remove(0);
  journal_.Tell();
  ASSERT_EQ(told_.size(), 3U);
  EXPECT_EQ(told_[2].sequence, 2U);
  EXPECT_TRUE(told_[2].cleared) << "it was the last";
  EXPECT_TRUE(told_[2].removed.empty() && told_[2].stored.empty());
}

TEST_F(BlockJournalTest, WithNobodyThereKeysAreKeptAndNothingIsTold) {
  BlockJournal journal(Sha256{}, 8);
  for (uint32_t block = 0; block < 4; ++block) {
    std::optional<BlockId> parent;
    if (block > 0) parent = BlockId{block - 1};
    if (block == 3) {
      told_.clear();
      journal.Watch(cache_, BlockView::kMemoryWithTokens, Sink(told_));
    }
    journal.OnStored("tenant", parent, BlockId{block}, TokensOf(block));
    journal.Tell();
  }
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told_.back().sequence, 1U);
  EXPECT_EQ(told_.back().stored, (std::vector<BlockRun>{{names_[2], {names_[3]}, {7, 8}}}));
}

TEST_F(BlockJournalTest, TokensAreToldToWhoWantsThem) {
  std::vector<BlockChanges> names;
  journal_.Watch(cache_, BlockView::kNamesEverywhere, Sink(names));
  Store(0);
  journal_.Tell();
  EXPECT_EQ(told_.back().stored, (std::vector<BlockRun>{{std::nullopt, {names_[0]}, {1, 2}}}));
  EXPECT_EQ(names.back().stored, (std::vector<BlockRun>{{std::nullopt, {names_[0]}, {}}}));
  EXPECT_EQ(names.back().sequence, told_.back().sequence);
}

TEST_F(BlockJournalTest, WhoWantsNoMoreIsLetGoWhenTheNextOneComes) {
  const auto owned = std::make_shared<int>();
  bool wants = true;
  journal_.Watch(cache_, BlockView::kNamesEverywhere,
                 [owned, &wants](const std::shared_ptr<const BlockChanges>&) { return wants; });
  EXPECT_EQ(owned.use_count(), 2);
  wants = false;
  journal_.Watch(cache_, BlockView::kNamesEverywhere,
                 [](const std::shared_ptr<const BlockChanges>&) { return true; });
  EXPECT_EQ(owned.use_count(), 1) << "though nothing has changed";
}

TEST_F(BlockJournalTest, ManyChangesComeInSeveralOfFollowingNumbers) {
  constexpr uint32_t kBlocks = 2 * limits::kMaxToldBlocks;
  BlockJournal journal(Sha256{}, kBlocks);
  std::vector<BlockChanges> told;
  journal.Watch(cache_, BlockView::kMemoryWithTokens, Sink(told));
  const auto root = [&](uint32_t block) {
    const std::array<TokenId, 2> tokens = {static_cast<TokenId>(block), 0};
    journal.OnStored("tenant", std::nullopt, BlockId{block}, tokens);
  };
  for (uint32_t block = 0; block < kBlocks; ++block) root(block);
  journal.Tell();
  ASSERT_EQ(told.size(), 3U);
  for (uint32_t block = 1; block < kBlocks; ++block) journal.OnRemoved(BlockId{block});
  journal.Tell();
  ASSERT_EQ(told.size(), 5U);
  for (size_t i = 1; i < told.size(); ++i) EXPECT_EQ(told[i].sequence, i);
  EXPECT_EQ(told[1].stored.size(), limits::kMaxToldBlocks);
  EXPECT_EQ(told[2].stored.size(), limits::kMaxToldBlocks);
  EXPECT_EQ(told[3].removed.size(), limits::kMaxToldBlocks);
  EXPECT_EQ(told[4].removed.size(), limits::kMaxToldBlocks - 1);
}

TEST_F(BlockJournalTest, ALargeTreesSnapshotComesInPartsThatFollowOneAnother) {
  constexpr size_t kBlocks = limits::kMaxToldBlocks + 100;
  const auto pool = BlockPool::Create(kBlocks, 64).value();
  PrefixCache cache(pool.get(), &clock_, {.block_tokens = kJournalBlockTokens});
  BlockJournal journal(Sha256{}, kBlocks);
  cache.SetListener(&journal);
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < kBlocks * kJournalBlockTokens; ++i) {
    tokens.push_back(static_cast<TokenId>(i * i % 1000));
  }
  {
    Lease lease;
    for (size_t first = 0; first < tokens.size(); first += kJournalBlockTokens) {
      const BlockId block = cache.Allocate().value();
      pool->Release(cache.Publish("", std::span(tokens).first(first + kJournalBlockTokens), first,
                                  block, lease));
    }
  }
  std::vector<BlockChanges> told;
  journal.Watch(cache, BlockView::kMemoryWithTokens, Sink(told));
  ASSERT_EQ(told.size(), 2U);
  EXPECT_TRUE(told[0].begins && !told[0].ends && !told[1].begins && told[1].ends);
  ASSERT_EQ(told[0].stored.size(), 1U);
  ASSERT_EQ(told[1].stored.size(), 1U);
  EXPECT_EQ(told[0].stored[0].blocks.size(), limits::kMaxToldBlocks);
  EXPECT_EQ(told[1].stored[0].parent, told[0].stored[0].blocks.back());
  std::vector<BlockName> all = told[0].stored[0].blocks;
  all.insert(all.end(), told[1].stored[0].blocks.begin(), told[1].stored[0].blocks.end());
  EXPECT_EQ(all, ChainOf(Sha256{}, "", tokens, kJournalBlockTokens));
  std::vector<TokenId> with = told[0].stored[0].tokens;
  with.insert(with.end(), told[1].stored[0].tokens.begin(), told[1].stored[0].tokens.end());
  EXPECT_EQ(with, tokens);
}

}  // namespace
}  // namespace reprise

// What an engine tells of its blocks, folded, is what its tree and its stores hold.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include "cache/scope.h"
#include "engine_fixture.h"
#include "played_store.h"
#include "tier_fixture.h"
#include "tiers/block_changes.h"
#include "tiers/shared_store.h"

namespace reprise {
namespace {

// Applies what one place tells, as a follower would, and minds what it is promised.
class Follower {
 public:
  void Take(const BlockChanges& told) {
    const std::lock_guard lock(mutex_);
    Place& place = places_[told.place];
    if (told.kind == BlockChanges::Kind::kSnapshot) {
      EXPECT_EQ(told.begins, !place.inside);
      if (told.begins) place = Place();
      if (!told.begins) {
        EXPECT_EQ(told.sequence, place.sequence);
      }
      place.inside = !told.ends;
      place.known = told.ends;
      EXPECT_TRUE(told.removed.empty() && !told.cleared);
    } else {
      EXPECT_TRUE(place.known) << "a change before the snapshot, or within it";
      EXPECT_EQ(told.sequence, place.sequence + 1);
      ++changes_;
    }
    place.sequence = told.sequence;
    if (told.cleared) {
      place.blocks.clear();
      ++cleared_;
    }
    removed_[told.place] += told.removed.size();
    for (const BlockName block : told.removed) {
      const bool went = place.blocks.erase(block) > 0;
      EXPECT_TRUE(went || told.place != BlockPlace::kMemory) << "went, but was not told";
    }
    for (const BlockRun& run : told.stored) Add(place, run, told.place == BlockPlace::kMemory);
    changed_.notify_all();
  }

  BlockSink Sink(BlockView view = BlockView::kNamesEverywhere) {
    with_tokens_ = view == BlockView::kMemoryWithTokens;
    return [this](const std::shared_ptr<const BlockChanges>& told) {
      const bool goes_on = !tired_;  // before: whoever waits for these may tire it at once
      Take(*told);
      return goes_on;
    };
  }
  void GrowTired() { tired_ = true; }

  std::set<BlockName> At(BlockPlace place) {
    const std::lock_guard lock(mutex_);
    std::set<BlockName> blocks;
    for (const auto& [block, tokens] : places_[place].blocks) blocks.insert(block);
    return blocks;
  }
  bool WaitFor(BlockPlace place, size_t blocks) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(
        lock, 60s, [&] { return places_[place].known && places_[place].blocks.size() == blocks; });
  }
  bool WaitUntil(BlockPlace place, const std::function<std::set<BlockName>()>& blocks) {
    for (int i = 0; i < 6000 && At(place) != blocks(); ++i) std::this_thread::sleep_for(10ms);
    return At(place) == blocks();
  }
  size_t changes() {
    const std::lock_guard lock(mutex_);
    return changes_;
  }
  size_t removed(BlockPlace place) {
    const std::lock_guard lock(mutex_);
    return removed_[place];
  }
  size_t cleared() {
    const std::lock_guard lock(mutex_);
    return cleared_;
  }

 private:
  struct Place {
    bool inside = false, known = false;
    uint64_t sequence = 0;
    std::map<BlockName, std::vector<TokenId>> blocks;  // each with the tokens of its block
  };

  void Add(Place& place, const BlockRun& run, bool memory) {
    ASSERT_FALSE(run.blocks.empty());
    if (memory) {
      if (run.parent) {
        EXPECT_TRUE(place.blocks.contains(*run.parent)) << "behind what was not told";
      }
      ASSERT_EQ(run.tokens.size(), with_tokens_ ? 32 * run.blocks.size() : 0U);
    }
    const size_t each = run.tokens.size() / run.blocks.size();
    for (size_t i = 0; i < run.blocks.size(); ++i) {
      const auto first = run.tokens.begin() + static_cast<std::ptrdiff_t>(i * each);
      const std::vector<TokenId> tokens(first, first + static_cast<std::ptrdiff_t>(each));
      EXPECT_TRUE(place.blocks.emplace(run.blocks[i], tokens).second) << "told twice";
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<BlockPlace, Place> places_;
  std::map<BlockPlace, size_t> removed_;  // told to be gone, ever
  size_t changes_ = 0, cleared_ = 0;
  bool with_tokens_ = false;
  std::atomic<bool> tired_{false};
};

class BlockWatchTest : public EngineTest {
 protected:
  void TearDown() override { engine_.reset(); }

  void StartWithDisk(size_t blocks_on_disk, bool shared = false) {
    Variant setup;
    setup.blocks = 24;
    setup.below = [=, this](size_t block_bytes, int block_tokens) {
      Variant::Tiers tiers;
      const size_t record_bytes = 4096 + (block_bytes + 4095) / 4096 * 4096 + 1024;
      const auto add = [&](TierKind kind, std::unique_ptr<BlockStore> store) {
        tiers.push_back(std::make_unique<BlockTier>(
            std::move(store), BlockTier::Options{.kind = kind,
                                                 .block_bytes = block_bytes,
                                                 .block_tokens = static_cast<size_t>(block_tokens),
                                                 .queue_bytes = 1000 * block_bytes,
                                                 .worthwhile = 1e9}));
      };
      auto store = DiskStore::Open({.folder = folder_.path(),
                                    .capacity_bytes = blocks_on_disk * record_bytes,
                                    .payload_bytes = block_bytes},
                                   files_);
      EXPECT_TRUE(store) << store.error().message;
      disk_ = store->get();
      add(TierKind::kDisk, *std::move(store));
      if (shared) {
        SharedStore::Options options;
        options.stores = {played_.address()};
        options.payload_bytes = block_bytes;
        options.block_tokens = static_cast<size_t>(block_tokens);
        options.deadline = 30s;
        add(TierKind::kShared, *SharedStore::Open(options));
      }
      return tiers;
    };
    setup.patience = 30s;
    Start(setup);
  }

  // Waits until what was told so far includes what happened before.
  void Settle() {
    SettledStats();
    SettledStats();  // told behind the messages of the loop's last turn
  }

  // The tree's own walk: each full block by the name that its prompt's beginning has.
  std::set<BlockName> InTree() {
    std::promise<TreeView> described;
    engine_->DescribeTree({.most_chains = 100000},
                          [&](TreeView view) { described.set_value(std::move(view)); });
    const TreeView view = described.get_future().get();
    std::vector<std::vector<TokenId>> prefixes;
    std::set<BlockName> names;
    for (const TreeChain& chain : view.chains) {
      std::vector<TokenId> tokens;
      if (chain.parent != TreeChain::kNone) tokens = prefixes[chain.parent];
      EXPECT_EQ(tokens.size(), chain.begin);
      tokens.insert(tokens.end(), chain.tokens.begin(), chain.tokens.end());
      const auto& scope = view.scopes[chain.scope];
      const auto all =
          ChainOf(engine_->block_identity(), ScopeOf(scope.tenant, scope.cache_key), tokens, 32);
      names.insert(all.begin(), all.end());
      prefixes.push_back(std::move(tokens));
    }
    return names;
  }

  // On disk, by the folder's index.
  std::set<BlockName> OnDisk() {
    std::set<BlockName> names;
    EXPECT_TRUE(disk_->ForEachHeld([&](BlockName block) { names.insert(block); }, [](bool) {}));
    return names;
  }

  bool WaitUntilWritten() {
    for (int i = 0; i < 6000 && SettledStats().tiers.at(0).queue_bytes > 0; ++i) {
      std::this_thread::sleep_for(10ms);
    }
    return SettledStats().tiers.at(0).queue_bytes == 0;
  }

  // Conversations that share beginnings, some cut short; more than the arena holds.
  void RandomTraffic(uint64_t seed, int rounds) {
    std::mt19937_64 random(seed);
    const auto up_to = [&](size_t most) { return random() % (most + 1); };
    for (int round = 0; round < rounds; ++round) {
      std::vector<std::shared_ptr<Reply>> replies;
      for (size_t i = 0; i <= up_to(3); ++i) {
        std::vector<TokenId> prompt = Prompt(20 + up_to(150), static_cast<TokenId>(up_to(3)));
        const auto tail = Prompt(up_to(70), static_cast<TokenId>(10 + up_to(5)));
        prompt.insert(prompt.end(), tail.begin(), tail.end());
        GenerationRequest request = Request(std::move(prompt), static_cast<int>(1 + up_to(40)));
        if (up_to(4) == 0) request.scope = ScopeOf("somebody", "");
        SequenceId id;
        replies.push_back(Ask(std::move(request), &id));
        if (up_to(5) == 0) engine_->Cancel(id);
      }
      for (const auto& reply : replies) reply->Wait();
      if (up_to(12) == 0) Flush();
    }
  }

  TestFolder folder_;
  FaultyFiles files_;
  PlayedStore played_;
  DiskStore* disk_ = nullptr;
  Follower early_, late_;
};

TEST_F(BlockWatchTest, WhatIsToldOfMemoryComesToWhatTheTreeHolds) {
  Start({.blocks = 24});
  engine_->WatchBlocks(BlockView::kNamesEverywhere, early_.Sink());
  for (uint64_t seed = 0; seed < 12; ++seed) {
    RandomTraffic(seed, 6);
    Settle();
    const std::set<BlockName> held = InTree();
    EXPECT_EQ(early_.At(BlockPlace::kMemory), held);
    Follower late;
    constexpr BlockView kView = BlockView::kMemoryWithTokens;
    engine_->WatchBlocks(kView, late.Sink(kView));
    Settle();
    EXPECT_EQ(late.At(BlockPlace::kMemory), held);
    late.GrowTired();
    AskAndWait(Request(Prompt(100, 77 + static_cast<TokenId>(seed)), 1));
    Settle();
  }
  EXPECT_GT(engine_->stats().cache_counters.evicted_blocks, 50U);
  EXPECT_GT(early_.changes(), 50U);
}

TEST_F(BlockWatchTest, ATreeThatIsEmptiedIsToldInAWord) {
  Start();
  engine_->WatchBlocks(BlockView::kNamesEverywhere, early_.Sink());
  AskAndWait(Request(Prompt(200), 4));
  ASSERT_TRUE(early_.WaitFor(BlockPlace::kMemory, 6));
  Flush();
  EXPECT_TRUE(early_.WaitFor(BlockPlace::kMemory, 0));
  EXPECT_EQ(early_.cleared(), 1U);
}

TEST_F(BlockWatchTest, WhoWantsNoMoreIsToldNoMore) {
  Start();
  engine_->WatchBlocks(BlockView::kNamesEverywhere, early_.Sink());
  engine_->WatchBlocks(BlockView::kNamesEverywhere, late_.Sink());
  AskAndWait(Request(Prompt(100), 1));
  ASSERT_TRUE(early_.WaitFor(BlockPlace::kMemory, 3));
  ASSERT_TRUE(late_.WaitFor(BlockPlace::kMemory, 3));
  late_.GrowTired();
  for (TokenId i = 1; i < 4; ++i) AskAndWait(Request(Prompt(100, i), 1));
  ASSERT_TRUE(early_.WaitFor(BlockPlace::kMemory, 12));
  EXPECT_EQ(late_.At(BlockPlace::kMemory).size(), 6U) << "the one that it refused came to it";
}

TEST_F(BlockWatchTest, WhatIsToldOfADiskComesToWhatItsFolderHolds) {
  StartWithDisk(40);
  engine_->WatchBlocks(BlockView::kNamesEverywhere, early_.Sink());
  for (uint64_t seed = 0; seed < 6; ++seed) {
    RandomTraffic(100 + seed, 6);
    AskAndWait(Request(Prompt(300, 50 + static_cast<TokenId>(seed)), 1));
    ASSERT_TRUE(WaitUntilWritten());
    EXPECT_TRUE(early_.WaitUntil(BlockPlace::kDisk, [this] { return OnDisk(); }));
    Settle();
    EXPECT_EQ(early_.At(BlockPlace::kMemory), InTree());
  }
  // More than fit.
  for (TokenId i = 0; i < 6; ++i) {
    AskAndWait(Request(Prompt(300, 70 + i), 1));
    ASSERT_TRUE(WaitUntilWritten());
  }
  EXPECT_GT(SettledStats().tiers.at(0).evicted, 10U);
  EXPECT_TRUE(early_.WaitUntil(BlockPlace::kDisk, [this] { return OnDisk(); }));
  // A process that comes to the same folder tells all of it.
  const std::set<BlockName> held = OnDisk();
  StartWithDisk(40);
  engine_->WatchBlocks(BlockView::kNamesEverywhere, late_.Sink());
  EXPECT_TRUE(late_.WaitUntil(BlockPlace::kDisk, [&] { return held; }));
  EXPECT_FALSE(held.empty());
  EXPECT_TRUE(late_.At(BlockPlace::kMemory).empty());
  Flush();
  EXPECT_TRUE(late_.WaitFor(BlockPlace::kDisk, 0));
  EXPECT_EQ(late_.cleared(), 1U);
}

TEST_F(BlockWatchTest, ARecordThatIsNoneIsToldToBeGone) {
  StartWithDisk(40);
  AskAndWait(Request(Prompt(200), 4));
  engine_->WatchBlocks(BlockView::kNamesEverywhere, early_.Sink());
  ASSERT_TRUE(early_.WaitFor(BlockPlace::kDisk, 6));
  StartWithDisk(40);
  engine_->WatchBlocks(BlockView::kNamesEverywhere, late_.Sink());
  ASSERT_TRUE(late_.WaitFor(BlockPlace::kDisk, 6));
  files_.fault = FaultyFiles::Fault::kReadFlipsABit;
  auto reply = Ask(Request(Prompt(200), 0));
  // It goes, and when the block has been computed it is there again.
  reply->Wait();
  files_.fault = FaultyFiles::Fault::kNone;
  EXPECT_GE(files_.faults, 1);
  EXPECT_TRUE(late_.WaitUntil(BlockPlace::kDisk, [this] { return OnDisk(); }));
  EXPECT_GE(late_.removed(BlockPlace::kDisk), 1U);
}

TEST_F(BlockWatchTest, OfASharedStoreIsToldWhatWasStoredThereAndWhatWasFound) {
  StartWithDisk(40, /*shared=*/true);
  engine_->WatchBlocks(BlockView::kNamesEverywhere, early_.Sink());
  AskAndWait(Request(Prompt(200), 4));
  EXPECT_TRUE(early_.WaitFor(BlockPlace::kShared, 6));
  // Another machine, with a folder of its own: it finds them when it looks.
  engine_.reset();
  std::filesystem::remove_all(folder_.path());
  StartWithDisk(40, /*shared=*/true);
  engine_->WatchBlocks(BlockView::kNamesEverywhere, late_.Sink());
  ASSERT_TRUE(late_.WaitFor(BlockPlace::kShared, 0));
  EXPECT_GT(Sum(AskAndWait(Request(Prompt(200), 4))->started.stored), 0U);
  EXPECT_TRUE(late_.WaitFor(BlockPlace::kShared, 6));
  Flush();
  EXPECT_TRUE(late_.WaitFor(BlockPlace::kShared, 0));
}

}  // namespace
}  // namespace reprise

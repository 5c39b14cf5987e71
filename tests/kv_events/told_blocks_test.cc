#include "kv_events/told_blocks.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/fleet_limits.h"

namespace reprise {
namespace {

constexpr size_t kTokens = 2;  // a block

BlockRun RunOf(std::optional<BlockName> parent, std::vector<BlockName> blocks) {
  BlockRun run{.parent = parent, .blocks = std::move(blocks)};
  for (const BlockName name : run.blocks) {
    run.tokens.push_back(static_cast<TokenId>(name));
    run.tokens.push_back(static_cast<TokenId>(name) + 1);
  }
  return run;
}

BlockChanges Stored(std::vector<BlockRun> runs) {
  BlockChanges changes;
  changes.stored = std::move(runs);
  return changes;
}

BlockChanges Snapshot(std::vector<BlockRun> runs) {
  BlockChanges changes = Stored(std::move(runs));
  changes.kind = BlockChanges::Kind::kSnapshot;
  changes.begins = changes.ends = true;
  return changes;
}

using Events = std::vector<KvEvent>;

TEST(ToldBlocksTest, RunsAreToldWithTheirParentAndTokens) {
  ToldBlocks told;
  EXPECT_EQ(told.Apply(Stored({RunOf({}, {1, 2}), RunOf(1, {3})})),
            (Events{RunOf({}, {1, 2}), RunOf(1, {3})}));
}

TEST(ToldBlocksTest, WhatGoesIsToldOnceAndOnlyIfItWasTold) {
  ToldBlocks told;
  told.Apply(Stored({RunOf({}, {1, 2})}));
  BlockChanges gone;
  gone.removed = {2, 77};
  EXPECT_EQ(told.Apply(gone), Events{RemovedBlocks{{2}}});
  EXPECT_EQ(told.Apply(gone), Events{});
}

TEST(ToldBlocksTest, WhatIsClearedIsRemovedOneByOneTooBeforeWhatComes) {
  ToldBlocks told;
  told.Apply(Stored({RunOf({}, {1})}));
  BlockChanges cleared = Stored({RunOf({}, {5})});
  cleared.cleared = true;
  EXPECT_EQ(told.Apply(cleared), (Events{RemovedBlocks{{1}}, ClearedBlocks(), RunOf({}, {5})}));
}

TEST(ToldBlocksTest, ManyThatAreClearedAreToldInParts) {
  ToldBlocks told;
  std::vector<BlockName> names(limits::kMaxToldBlocks + 1);
  for (size_t i = 0; i < names.size(); ++i) names[i] = i + 1;
  told.Apply(Stored({RunOf({}, names)}));
  BlockChanges cleared;
  cleared.cleared = true;
  EXPECT_EQ(told.Apply(cleared).size(), 3);
}

TEST(ToldBlocksTest, ASnapshotTellsWhatDiffers) {
  ToldBlocks told;
  told.Apply(Stored({RunOf({}, {1, 2, 3, 4, 9})}));
  EXPECT_EQ(told.Apply(Snapshot({RunOf({}, {1, 7, 2, 8, 5})})).size(), 3);
  told = {};
  told.Apply(Stored({RunOf({}, {1, 2, 3})}));
  EXPECT_EQ(told.Apply(Snapshot({RunOf({}, {1, 2, 4, 5}), RunOf(1, {6})})),
            (Events{RunOf(2, {4, 5}), RunOf(1, {6}), RemovedBlocks{{3}}}));
  EXPECT_EQ(told.Apply(Snapshot({RunOf({}, {1, 2, 4, 5}), RunOf(1, {6})})), Events{});
}

TEST(ToldBlocksTest, ASnapshotThatNeverEndedTakesNothingAway) {
  ToldBlocks told;
  told.Apply(Stored({RunOf({}, {1, 2})}));
  BlockChanges part = Snapshot({RunOf({}, {1})});
  part.ends = false;
  EXPECT_EQ(told.Apply(part), Events{});
  EXPECT_EQ(told.Apply(Snapshot({RunOf({}, {1, 2})})), Events{});
}

// A reader that counts, as llm-d does: no block may be stored twice without having gone.
class CountingReader {
 public:
  void operator()(const BlockRun& stored) {
    for (size_t i = 0; i < stored.blocks.size(); ++i) {
      EXPECT_EQ(++blocks_[stored.blocks[i]], 1);
      EXPECT_EQ(stored.tokens[i * kTokens], static_cast<TokenId>(stored.blocks[i]));
    }
    EXPECT_EQ(stored.tokens.size(), stored.blocks.size() * kTokens);
    EXPECT_TRUE(!stored.parent || blocks_.contains(*stored.parent));
  }
  void operator()(const RemovedBlocks& removed) {
    for (const BlockName name : removed.blocks) EXPECT_EQ(blocks_.erase(name), 1);
  }
  void operator()(const ClearedBlocks& /*cleared*/) { EXPECT_TRUE(blocks_.empty()); }

  std::set<BlockName> blocks() const {
    std::set<BlockName> names;
    for (const auto& [name, count] : blocks_) names.insert(name);
    return names;
  }

 private:
  std::map<BlockName, int> blocks_;
};

// A cache of at most one run, of which changes get lost now and then; a snapshot follows.
TEST(ToldBlocksTest, WhateverIsLostReadersEndUpWithWhatThereIs) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    ToldBlocks told;
    CountingReader reader;
    std::vector<BlockName> held;
    BlockName next = 1;
    bool lost = false;
    for (int step = 0; step < 30; ++step) {
      BlockChanges changes;
      const auto choice = random() % 8;
      if (choice == 0) {
        held.clear();
        changes.cleared = true;
      } else if (choice < 4 && !held.empty()) {
        const size_t kept = random() % held.size();
        changes.removed.assign(held.begin() + static_cast<ptrdiff_t>(kept), held.end());
        held.resize(kept);
      }
      const std::optional<BlockName> parent =
          held.empty() ? std::nullopt : std::optional(held.back());
      std::vector<BlockName> more(random() % 5);
      for (BlockName& name : more) name = next++;
      held.insert(held.end(), more.begin(), more.end());
      if (!more.empty()) changes.stored.push_back(RunOf(parent, more));
      lost = lost || random() % 5 == 0;
      if (lost && random() % 2 == 0) {
        changes = held.empty() ? Snapshot({}) : Snapshot({RunOf({}, held)});
        lost = false;
      }
      if (lost) continue;
      for (const KvEvent& event : told.Apply(changes)) std::visit(reader, event);
      ASSERT_EQ(reader.blocks(), std::set<BlockName>(held.begin(), held.end()));
    }
  }
}

}  // namespace
}  // namespace reprise

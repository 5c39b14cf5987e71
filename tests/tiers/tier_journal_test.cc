#include "tiers/tier_journal.h"

#include <gtest/gtest.h>

#include <set>

#include "base/fleet_limits.h"
#include "played_store.h"
#include "tier_fixture.h"
#include "tiers/known_blocks.h"
#include "tiers/shared_store.h"

namespace reprise {
namespace {

// Holds what a test says.
class ListedStore final : public BlockStore {
 public:
  std::vector<BlockKey> held;
  bool readable = true;  // else only the first half of them

  Status ForEachHeld(const std::function<void(BlockName)>& visit,
                     const std::function<void(bool all)>& done) const override {
    const size_t count = readable ? held.size() : held.size() / 2;
    for (size_t i = 0; i < count; ++i) visit(NameOf(held[i]));
    done(readable);
    if (readable) return {};
    return Fail(ErrorCode::kIo, "no");
  }
  size_t Find(std::span<const BlockKey> /*chain*/) override { return 0; }
  Status Read(const BlockKey& /*key*/, std::span<const TokenId> /*tokens*/,
              std::span<std::byte> /*payload*/) override {
    return {};
  }
  Result<WriteOutcome> Write(std::span<const BlockWrite> /*blocks*/, WallSeconds /*now*/) override {
    return WriteOutcome();
  }
  Status Use(std::span<const BlockUse> /*uses*/) override { return {}; }
  Status Clear() override { return {}; }
  StoreSizes sizes() const override { return {}; }
};

class TierJournalTest : public ::testing::Test {
 protected:
  BlockSink Sink() {
    return [this](const std::shared_ptr<const BlockChanges>& told) {
      told_.push_back(*told);
      return true;
    };
  }
  // The last that was told: what came and what went.
  std::set<BlockName> Stored() const {
    std::set<BlockName> names;
    for (const BlockRun& run : told_.back().stored) {
      names.insert(run.blocks.begin(), run.blocks.end());
    }
    return names;
  }
  std::set<BlockName> Removed() const {
    return {told_.back().removed.begin(), told_.back().removed.end()};
  }
  static std::set<BlockName> Names(std::span<const BlockKey> keys) {
    std::set<BlockName> names;
    for (const BlockKey& key : keys) names.insert(NameOf(key));
    return names;
  }

  ListedStore store_;
  TierJournal journal_{BlockPlace::kDisk};
  std::vector<BlockChanges> told_;
};

TEST_F(TierJournalTest, ALargeSnapshotComesInPartsOfOneNumber) {
  const TestChain chain("many", 2 * limits::kMaxToldBlocks + 1);
  store_.held = chain.keys;
  ASSERT_TRUE(journal_.Watch(store_, Sink()));
  ASSERT_EQ(told_.size(), 3U);
  std::set<BlockName> all;
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(told_[i].kind, BlockChanges::Kind::kSnapshot);
    EXPECT_EQ(told_[i].begins, i == 0);
    EXPECT_EQ(told_[i].ends, i == 2);
    EXPECT_EQ(told_[i].sequence, 0U);
    ASSERT_EQ(told_[i].stored.size(), 1U);
    EXPECT_LE(told_[i].stored[0].blocks.size(), limits::kMaxToldBlocks);
    all.insert(told_[i].stored[0].blocks.begin(), told_[i].stored[0].blocks.end());
  }
  EXPECT_EQ(all, Names(chain.keys));
}

TEST_F(TierJournalTest, OfSeveralChangesOfOneBlockTheLastIsTold) {
  const TestChain chain("few", 4);
  ASSERT_TRUE(journal_.Watch(store_, Sink()));
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_TRUE(told_[0].begins && told_[0].ends && told_[0].stored.empty());
  journal_.OnStored(NameOf(chain.keys[0]));
  journal_.OnGone(NameOf(chain.keys[0]));
  journal_.OnGone(NameOf(chain.keys[1]));
  journal_.OnStored(NameOf(chain.keys[1]));
  journal_.OnStored(NameOf(chain.keys[2]));
  journal_.Tell();
  EXPECT_EQ(told_.back().sequence, 1U);
  EXPECT_EQ(Stored(), Names(std::span(chain.keys).subspan(1, 2)));
  EXPECT_EQ(Removed(), Names(std::span(chain.keys).first(1)));

  journal_.OnStored(NameOf(chain.keys[3]));
  journal_.OnCleared();
  journal_.OnStored(NameOf(chain.keys[0]));
  journal_.Tell();
  EXPECT_EQ(told_.back().sequence, 2U);
  EXPECT_TRUE(told_.back().cleared);
  EXPECT_EQ(Stored(), Names(std::span(chain.keys).first(1)));
  journal_.Tell();
  EXPECT_EQ(told_.size(), 3U) << "nothing had changed";
}

TEST_F(TierJournalTest, ManyChangesComeInSeveralOfFollowingNumbers) {
  const TestChain chain("many", limits::kMaxToldBlocks + 10);
  ASSERT_TRUE(journal_.Watch(store_, Sink()));
  journal_.OnCleared();
  for (const BlockKey& key : chain.keys) journal_.OnStored(NameOf(key));
  journal_.Tell();
  ASSERT_EQ(told_.size(), 3U);
  EXPECT_TRUE(told_[1].cleared && !told_[2].cleared);
  EXPECT_EQ(told_[1].sequence, 1U);
  EXPECT_EQ(told_[2].sequence, 2U);
  EXPECT_EQ(told_[1].stored.at(0).blocks.size(), limits::kMaxToldBlocks);
  EXPECT_EQ(Stored(), Names(std::span(chain.keys).last(10)));
}

TEST_F(TierJournalTest, ASnapshotComesBehindTheChangesThatAreInIt) {
  const TestChain chain("few", 2);
  ASSERT_TRUE(journal_.Watch(store_, Sink()));
  journal_.OnStored(NameOf(chain.keys[0]));
  store_.held = {chain.keys[0]};
  std::vector<BlockChanges> late;
  ASSERT_TRUE(journal_.Watch(store_, [&](const std::shared_ptr<const BlockChanges>& told) {
    late.push_back(*told);
    return true;
  }));
  EXPECT_EQ(told_.at(1).sequence, 1U) << "who came before was not told yet";
  EXPECT_EQ(told_.at(1).stored.size(), 1U);
  ASSERT_EQ(late.size(), 1U);
  EXPECT_EQ(late[0].sequence, told_.back().sequence);
  journal_.OnStored(NameOf(chain.keys[1]));
  journal_.Tell();
  EXPECT_EQ(late.back().sequence, late[0].sequence + 1);
  EXPECT_EQ(late.back().sequence, told_.back().sequence);
}

TEST_F(TierJournalTest, WhoWantsNoMoreIsLetGoWhenTheNextOneComes) {
  const auto owned = std::make_shared<int>();
  bool wants = true;
  ASSERT_TRUE(journal_.Watch(
      store_, [owned, &wants](const std::shared_ptr<const BlockChanges>&) { return wants; }));
  EXPECT_EQ(owned.use_count(), 2);
  wants = false;
  ASSERT_TRUE(journal_.Watch(store_, Sink()));
  EXPECT_EQ(owned.use_count(), 1) << "though nothing has changed";
}

TEST_F(TierJournalTest, OfAStoreThatCannotBeReadWhollyNothingIsKnownButItsChanges) {
  const TestChain chain("unreadable", 4);
  store_.held = chain.keys;
  store_.readable = false;
  EXPECT_FALSE(journal_.Watch(store_, Sink()));
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_TRUE(told_[0].begins && told_[0].ends && told_[0].stored.empty());
  journal_.OnStored(NameOf(chain.keys[3]));
  journal_.Tell();
  EXPECT_EQ(Stored(), Names(std::span(chain.keys).last(1)));
}

TEST_F(TierJournalTest, OfASharedStoreIsKnownWhatWasFoundThereAndWhatWasMissedIsNot) {
  PlayedStore played;
  SharedStore::Options options;
  options.stores = {played.address()};
  options.payload_bytes = kTestPayload;
  options.block_tokens = kTestTokens;
  options.deadline = std::chrono::seconds(30);
  TierJournal journal(BlockPlace::kShared);
  const TestChain chain("shared", 5);
  const std::vector<BlockWrite> writes = chain.Writes(0);
  {
    auto other = *SharedStore::Open(options);
    ASSERT_TRUE(other->Write(std::span(writes).first(4), 0));
  }
  auto store = *SharedStore::Open(options);
  store->SetListener(&journal);
  ASSERT_TRUE(journal.Watch(*store, Sink()));
  EXPECT_TRUE(Stored().empty());
  EXPECT_EQ(store->Find(chain.keys), 4U);
  journal.Tell();
  EXPECT_EQ(Stored(), Names(std::span(chain.keys).first(4)));
  ASSERT_TRUE(store->Write(std::span(writes).last(1), 0));
  journal.Tell();
  EXPECT_EQ(Stored(), Names(std::span(chain.keys).last(1)));
  // What the store lost behind our backs.
  {
    const std::lock_guard lock(played.mutex);
    played.values.clear();
  }
  EXPECT_EQ(chain.Read(*store, 2), ErrorCode::kNotFound);
  journal.Tell();
  EXPECT_EQ(Removed(), Names(std::span(chain.keys).subspan(2, 1)));
  EXPECT_EQ(store->Find(chain.keys), 0U);
  journal.Tell();
  EXPECT_EQ(Removed().size(), 4U);
  std::vector<BlockName> held;
  ASSERT_TRUE(store->ForEachHeld([&](BlockName block) { held.push_back(block); }, [](bool) {}));
  EXPECT_TRUE(held.empty());
}

TEST(KnownBlocksTest, OfTooManyTheEarliestAreForgottenAndToldToBeGone) {
  const TestChain chain("many", 6);
  KnownBlocks known(3);
  std::set<BlockName> told;
  struct Listener final : public StoreListener {
    explicit Listener(std::set<BlockName>& names) : held(names) {}
    void OnStored(BlockName block) override { EXPECT_TRUE(held.insert(block).second); }
    void OnGone(BlockName block) override { EXPECT_EQ(held.erase(block), 1U); }
    void OnCleared() override { held.clear(); }
    std::set<BlockName>& held;
  } listener(told);
  known.SetListener(&listener);
  for (int round = 0; round < 4; ++round) {
    for (const BlockKey& key : chain.keys) {
      const BlockName third = NameOf(chain.keys[2]);
      known.Add(NameOf(key));
      if (round % 2 == 1) known.Remove(third);
      std::set<BlockName> held;
      known.ForEach([&](BlockName each) { held.insert(each); }, [](bool) {});
      EXPECT_EQ(held, told);
      EXPECT_LE(held.size(), 3U);
      EXPECT_TRUE(held.contains(NameOf(key)) || NameOf(key) == third);
    }
  }
  known.Clear();
  EXPECT_TRUE(told.empty());
}

}  // namespace
}  // namespace reprise

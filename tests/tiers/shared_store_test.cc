#include "tiers/shared_store.h"

#include <gtest/gtest.h>

#include "played_store.h"
#include "tier_fixture.h"

namespace reprise {
namespace {

using Mood = PlayedStore::Mood;
using std::chrono::milliseconds;

TEST(StoreUrlTest, SaysWhereAStoreIs) {
  const auto plain = ParseStoreUrl("redis://cache.example");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->Label(), "redis://cache.example:6379");
  const auto full = ParseStoreUrl("rediss://us%40er:p%2Fw:d@[::1]:7000/3");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->user, "us@er");
  EXPECT_EQ(full->password, "p/w:d");
  EXPECT_EQ(full->host, "::1");
  EXPECT_TRUE(full->tls);
  EXPECT_EQ(full->database, 3);
  EXPECT_EQ(full->Label(), "rediss://[::1]:7000/3") << "nothing that is secret";
  EXPECT_EQ(ParseStoreUrl("redis://:secret@h")->password, "secret");
}

TEST(StoreUrlTest, WhatIsNoneIsRefusedWithoutItsPassword) {
  for (const char* url :
       {"", "cache.example", "http://h", "redis://", "redis://h/x", "redis://h/-1", "redis://h:0",
        "redis://u@h", "redis://:hush@h/1?x=2", "redis://h:99999"}) {
    const auto address = ParseStoreUrl(url);
    ASSERT_FALSE(address) << url;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(address.error().message.find("hush"), std::string::npos);
  }
}

TEST(SharedRecordTest, NoChangedByteIsOpened) {
  const TestChain chain("a", 2);
  for (const char* secret : {"", "a secret of some length"}) {
    const SharedRecords records(secret);
    const std::string sealed = records.Seal(chain.keys[0], chain.tokens[0], chain.payloads[0]);
    std::vector<std::byte> payload(kTestPayload);
    ASSERT_TRUE(records.Open(chain.keys[0], chain.tokens[0], sealed, payload));
    EXPECT_EQ(payload, chain.payloads[0]);
    for (size_t i = 0; i < sealed.size(); ++i) {
      std::string changed = sealed;
      changed[i] = static_cast<char>(changed[i] ^ 0x10);
      EXPECT_FALSE(records.Open(chain.keys[0], chain.tokens[0], changed, payload)) << i;
    }
    EXPECT_FALSE(records.Open(chain.keys[1], chain.tokens[1], sealed, payload)) << "another block";
    EXPECT_FALSE(records.Open(chain.keys[0], chain.tokens[1], sealed, payload)) << "other tokens";
    EXPECT_FALSE(
        records.Open(chain.keys[0], chain.tokens[0], sealed.substr(0, sealed.size() - 1), payload));
  }
}

TEST(SharedRecordTest, WhoHasNotTheSecretCanNeitherMakeNorNameOne) {
  const TestChain chain("a", 1);
  const SharedRecords ours("our own secret"), theirs("another secret"), none("");
  std::vector<std::byte> payload(kTestPayload);
  for (const SharedRecords* foreign : {&theirs, &none}) {
    const std::string planted = foreign->Seal(chain.keys[0], chain.tokens[0], chain.payloads[0]);
    EXPECT_FALSE(ours.Open(chain.keys[0], chain.tokens[0], planted, payload));
    EXPECT_NE(foreign->Name(chain.keys[0]), ours.Name(chain.keys[0]));
  }
}

class SharedStoreTest : public ::testing::Test {
 protected:
  SharedStore& Open(size_t stores = 1, const std::string& secret = "the secret of the tests") {
    while (played_.size() < stores) played_.push_back(std::make_unique<PlayedStore>());
    SharedStore::Options options;
    for (size_t i = 0; i < stores; ++i) options.stores.push_back(played_[i]->address());
    options.secret = secret;
    options.payload_bytes = kTestPayload;
    options.block_tokens = kTestTokens;
    options.retention = 1000;
    options.deadline = deadline_;
    options.first_pause = kFirstPause;
    auto store = SharedStore::Open(options);
    EXPECT_TRUE(store);
    return *opened_.emplace_back(*std::move(store));
  }
  PlayedStore& played(size_t i = 0) { return *played_[i]; }

  static WriteOutcome Write(BlockStore& store, const TestChain& chain, int64_t ttl = 0) {
    const WallSeconds now = WallSecondsNow();
    const auto outcome = store.Write(chain.Writes(now, ttl), now);
    EXPECT_TRUE(outcome) << outcome.error().message;
    return outcome.value_or(WriteOutcome{});
  }
  static std::chrono::nanoseconds Time(const std::function<void()>& what) {
    const auto begin = std::chrono::steady_clock::now();
    what();
    return std::chrono::steady_clock::now() - begin;
  }

  // So long that what a busy machine does makes none of these tests fail.
  static constexpr milliseconds kLongWait{10'000};
  static constexpr milliseconds kFirstPause{500};
  milliseconds deadline_ = kLongWait;
  std::vector<std::unique_ptr<PlayedStore>> played_;
  std::vector<std::unique_ptr<SharedStore>> opened_;
};

TEST_F(SharedStoreTest, WhatOneWritesAnotherReads) {
  SharedStore& one = Open();
  SharedStore& other = Open();
  const TestChain chain("a", 9), unknown("b", 2);
  EXPECT_EQ(Write(one, chain).written, 9U);
  EXPECT_EQ(Write(other, chain).known, 9U) << "is not sent again";
  EXPECT_EQ(other.Find(chain.keys), 9U);
  EXPECT_EQ(other.Find(unknown.keys), 0U);
  other.Announce(chain.keys);
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(chain.Read(other, i), std::nullopt);
  EXPECT_EQ(unknown.Read(other, 0), ErrorCode::kNotFound);
}

TEST_F(SharedStoreTest, WhatWasAnnouncedNeedNotBeRead) {
  SharedStore& store = Open();
  const TestChain chain("a", 9), second("b", 5);
  Write(store, chain);
  Write(store, second);
  store.Announce(chain.keys);
  EXPECT_EQ(chain.Read(store, 0), std::nullopt);
  EXPECT_EQ(chain.Read(store, 7), std::nullopt) << "out of order";
  store.Announce(chain.keys);
  EXPECT_EQ(chain.Read(store, 0), std::nullopt);
  EXPECT_EQ(store.Find(second.keys), 5U) << "the rest is not wanted any more";
  store.Announce(second.keys);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(second.Read(store, i), std::nullopt);
}

TEST_F(SharedStoreTest, AChainEndsWhereABlockIsMissing) {
  SharedStore& store = Open(1, "");
  const TestChain chain("a", 6);
  Write(store, chain);
  {
    const std::lock_guard lock(played().mutex);
    played().values.erase(SharedRecords("").Name(chain.keys[3]));
  }
  EXPECT_EQ(store.Find(chain.keys), 3U);
  EXPECT_EQ(store.FindLast(chain.keys), 6U) << "whatever is missing before it";
  EXPECT_EQ(store.FindLast(std::span(chain.keys).first(4)), 3U);
  EXPECT_EQ(store.FindLast(std::span(chain.keys).subspan(3, 1)), 0U);
}

TEST_F(SharedStoreTest, LifetimesAreTheStores) {
  SharedStore& store = Open();
  const TestChain chain("a", 3);
  Write(store, chain);
  const auto lifetimes = [&] {
    const std::lock_guard lock(played().mutex);
    std::vector<int64_t> all;
    for (const auto& [name, value] : played().values) all.push_back(value.seconds);
    return all;
  };
  EXPECT_EQ(lifetimes(), std::vector<int64_t>(3, 1000));
  const WallSeconds now = WallSecondsNow();
  std::vector<BlockUse> uses;
  for (size_t i = 0; i < 3; ++i) uses.push_back(chain.Use(i, now, 5000));
  EXPECT_TRUE(store.Use(uses));
  for (const int64_t seconds : lifetimes()) EXPECT_NEAR(static_cast<double>(seconds), 5000, 2);
  for (BlockUse& use : uses) use.keep.ttl = 0;
  EXPECT_TRUE(store.Use(uses));
  for (const int64_t seconds : lifetimes()) EXPECT_GT(seconds, 4000) << "a use shortens nothing";
}

TEST_F(SharedStoreTest, AFewStoresShareAndOneMoreMovesItsPartOnly) {
  const TestChain chain("a", 400);
  SharedStore& three = Open(3);
  Write(three, chain);
  size_t all = 0;
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_GT(played(i).size(), 90U);
    EXPECT_LT(played(i).size(), 180U);
    all += played(i).size();
  }
  EXPECT_EQ(all, 400U);
  SharedStore& four = Open(4);
  const size_t moved = Write(four, chain).written;
  EXPECT_GT(moved, 60U);
  EXPECT_LT(moved, 140U);
  EXPECT_EQ(moved, played(3).size());
  EXPECT_EQ(four.Find(chain.keys), 400U);
  four.Announce(chain.keys);
  for (size_t i = 0; i < 400; ++i) EXPECT_EQ(chain.Read(four, i), std::nullopt);
}

TEST_F(SharedStoreTest, OneThatIsGoneTakesOnlyItsOwn) {
  const TestChain chain("a", 60);
  SharedStore& store = Open(2);
  Write(store, chain);
  played(1).mood = Mood::kHangsUp;
  size_t read = 0;
  for (size_t i = 0; i < 60; ++i) read += !chain.Read(store, i);
  EXPECT_EQ(read, played(0).size());
  EXPECT_EQ(store.sizes().stores_away, 1U);
}

TEST_F(SharedStoreTest, OneThatIsSilentCostsADeadlineAndIsLeftAlone) {
  const TestChain chain("a", 3);
  Write(Open(), chain);
  deadline_ = milliseconds(100);
  SharedStore& store = Open();
  ASSERT_EQ(store.Find(chain.keys), 3U);
  played().mood = Mood::kSilent;
  EXPECT_LT(Time([&] { EXPECT_EQ(store.Find(chain.keys), 0U); }), 5 * deadline_);
  EXPECT_LT(
      Time([&] { EXPECT_FALSE(store.Write(chain.Writes(WallSecondsNow()), WallSecondsNow())); }),
      5 * deadline_);
  const int before = played().commands;
  EXPECT_LT(Time([&] {
              for (int i = 0; i < 1000; ++i) EXPECT_EQ(store.Find(chain.keys), 0U);
              EXPECT_EQ(Write(store, chain).refused, 3U);
            }),
            kFirstPause / 2);
  EXPECT_EQ(played().commands, before) << "nothing is sent meanwhile";
  EXPECT_EQ(store.sizes().stores_away, 1U);
  std::this_thread::sleep_for(kFirstPause + milliseconds(10));
  EXPECT_EQ(store.Find(chain.keys), 0U);
  EXPECT_GT(played().commands, before) << "it is tried again";
  // The second pause is twice as long.
  played().mood = Mood::kHonest;
  std::this_thread::sleep_for(kFirstPause + milliseconds(10));
  EXPECT_EQ(store.Find(chain.keys), 0U);
  std::this_thread::sleep_for(kFirstPause);
  EXPECT_EQ(store.Find(chain.keys), 3U);
  EXPECT_EQ(store.sizes().stores_away, 0U);
}

TEST_F(SharedStoreTest, AConnectionThatWasClosedMeanwhileIsOpenedAnew) {
  SharedStore& store = Open();
  const TestChain chain("a", 9);
  const auto close_all = [&] {
    played().closes_all = true;
    while (played().closes_all) std::this_thread::sleep_for(milliseconds(1));
  };
  Write(store, chain);
  for (int i = 0; i < 3; ++i) {
    close_all();
    EXPECT_EQ(store.Find(chain.keys), 9U);
    store.Announce(chain.keys);
    EXPECT_EQ(chain.Read(store, 0), std::nullopt);
    close_all();  // while more is on its way
    for (size_t j = 1; j < 9; ++j) EXPECT_EQ(chain.Read(store, j), std::nullopt);
    close_all();
    EXPECT_EQ(Write(store, chain).known, 9U);
  }
  EXPECT_EQ(store.sizes().stores_away, 0U);
}

TEST_F(SharedStoreTest, WhateverItSaysIsAMiss) {
  const TestChain chain("a", 3);
  for (const Mood mood : {Mood::kGarbage, Mood::kFlood, Mood::kHangsUp, Mood::kLoading}) {
    SharedStore& store = Open();
    Write(store, chain);
    played().mood = mood;
    EXPECT_LT(Time([&] { EXPECT_EQ(store.Find(chain.keys), 0U); }), kLongWait / 2);
    EXPECT_EQ(chain.Read(store, 0), ErrorCode::kOverloaded) << "it is left alone";
    played().mood = Mood::kHonest;
    SharedStore& again = Open();
    ASSERT_EQ(again.Find(chain.keys), 3U);
    played().mood = mood;
    EXPECT_EQ(chain.Read(again, 0), ErrorCode::kIo);
    played().mood = Mood::kHonest;
    SharedStore& writer = Open();
    played().mood = mood;
    EXPECT_FALSE(writer.Write(chain.Writes(WallSecondsNow()), WallSecondsNow()));
    EXPECT_TRUE(writer.Use(std::vector{chain.Use(0, WallSecondsNow())})) << "it is left alone";
    played().mood = Mood::kHonest;
  }
}

TEST_F(SharedStoreTest, OneThatIsFullIsStillRead) {
  SharedStore& store = Open();
  const TestChain chain("a", 3), more("b", 3);
  Write(store, chain);
  played().mood = Mood::kFull;
  EXPECT_EQ(Write(store, more).refused, 3U);
  EXPECT_EQ(chain.Read(store, 0), std::nullopt);
  EXPECT_EQ(store.sizes().stores_away, 0U);
}

TEST_F(SharedStoreTest, OneThatTakesNothingIsStillReadAndOneThatIsTooOldIsNot) {
  const TestChain chain("a", 3), more("b", 3);
  SharedStore& store = Open();
  Write(store, chain);
  played().mood = Mood::kStubborn;
  const WallSeconds now = WallSecondsNow();
  EXPECT_FALSE(store.Write(more.Writes(now), now));
  EXPECT_EQ(Write(store, more).refused, 3U) << "writing rests";
  EXPECT_EQ(chain.Read(store, 0), std::nullopt);
  EXPECT_EQ(store.sizes().stores_away, 0U);
  EXPECT_EQ(chain.Read(Open(), 0), std::nullopt) << "by one that connects now, too";
  played().mood = Mood::kOld;
  SharedStore& other = Open();
  const std::vector<Error> wrong = other.Greet();
  ASSERT_EQ(wrong.size(), 1U);
  EXPECT_NE(wrong[0].message.find("is older than version 7"), std::string::npos);
  EXPECT_EQ(other.Find(chain.keys), 0U);
}

TEST_F(SharedStoreTest, APlantedRecordIsRefusedAndRemoved) {
  SharedStore& store = Open();
  const TestChain chain("a", 4);
  Write(store, chain);
  const SharedRecords records("the secret of the tests");
  {
    // Somebody who can write but has not the secret: a record of his own, or a true one elsewhere.
    const std::lock_guard lock(played().mutex);
    auto& values = played().values;
    values[records.Name(chain.keys[0])].text =
        SharedRecords("").Seal(chain.keys[0], chain.tokens[0], chain.payloads[1]);
    values[records.Name(chain.keys[1])].text = values[records.Name(chain.keys[2])].text;
  }
  store.Announce(chain.keys);
  EXPECT_EQ(chain.Read(store, 0), ErrorCode::kCorrupt);
  EXPECT_EQ(chain.Read(store, 1), ErrorCode::kCorrupt);
  EXPECT_EQ(chain.Read(store, 2), std::nullopt);
  EXPECT_EQ(store.Find(chain.keys), 0U);
  EXPECT_EQ(Write(store, chain).written, 2U) << "and may be written anew";
  EXPECT_EQ(store.Find(chain.keys), 4U);
}

TEST_F(SharedStoreTest, ClearLeavesWhatIsNotOurs) {
  SharedStore& store = Open(2);
  Write(store, TestChain("a", 20));
  {
    const std::lock_guard lock(played().mutex);
    played().values["somebody else's"] = {"value", 1};
  }
  EXPECT_TRUE(store.Clear());
  EXPECT_EQ(played(0).size() + played(1).size(), 1U);
  played(1).mood = Mood::kHangsUp;
  EXPECT_FALSE(store.Clear()) << "who asks is told that it was not done";
}

TEST_F(SharedStoreTest, TheSameStoreTwiceIsRefused) {
  PlayedStore played;
  SharedStore::Options options;
  options.stores = {played.address(), played.address()};
  EXPECT_FALSE(SharedStore::Open(options));
}

}  // namespace
}  // namespace reprise

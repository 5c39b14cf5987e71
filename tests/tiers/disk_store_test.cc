#include "tiers/disk_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "tier_fixture.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using Fault = FaultyFiles::Fault;

class DiskStoreTest : public ::testing::Test {
 protected:
  void Open(uint64_t records = 100, size_t payload = kTestPayload) {
    store_.reset();
    auto opened = Reopen(records, payload);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = *std::move(opened);
  }
  Result<std::unique_ptr<DiskStore>> Reopen(uint64_t records, size_t payload = kTestPayload) {
    return DiskStore::Open({.folder = folder_.path() + "/cache",
                            .capacity_bytes = records * kTestRecord,
                            .payload_bytes = payload,
                            .retention = 1000},
                           files_);
  }
  WriteOutcome Write(const TestChain& chain, WallSeconds when, int64_t ttl = 0) {
    const auto outcome = store_->Write(chain.Writes(when, ttl), when);
    EXPECT_TRUE(outcome) << outcome.error().message;
    return outcome.value_or(WriteOutcome{});
  }
  std::string DataPath() const { return folder_.path() + "/cache/records-12288"; }

  const WallSeconds now_ = WallSecondsNow();
  TestFolder folder_;
  FaultyFiles files_;
  std::unique_ptr<DiskStore> store_;
};

TEST_F(DiskStoreTest, WhatWasWrittenIsReadAlsoByTheNextProcess) {
  Open();
  const TestChain chain("a", 5), other("b", 2);
  EXPECT_EQ(Write(chain, now_).written, 5U);
  EXPECT_EQ(Write(chain, now_).known, 5U);
  const StoreSizes before = store_->sizes();
  EXPECT_EQ(before.held_bytes, 5 * kTestRecord);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(store_->Find(chain.keys), 5U);
    EXPECT_EQ(store_->Find(other.keys), 0U);
    for (size_t j = 0; j < 5; ++j) EXPECT_EQ(chain.Read(*store_, j), std::nullopt);
    EXPECT_EQ(other.Read(*store_, 0), ErrorCode::kNotFound);
    Open();
    EXPECT_EQ(store_->found().records, 5U);
    EXPECT_EQ(store_->found().leftover, 0U);
    EXPECT_EQ(store_->found().begun_anew, "");
    EXPECT_EQ(store_->sizes().held_bytes, before.held_bytes) << "usage as before, to the byte";
  }
}

TEST_F(DiskStoreTest, OnlyItsOwnerMayReadTheFolder) {
  Open();
  Write(TestChain("a", 1), now_);
  for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
    struct stat about {};
    ASSERT_EQ(stat(entry.path().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, entry.is_directory() ? 0700U : 0600U) << entry.path();
  }
}

TEST_F(DiskStoreTest, AnotherProcessIsToldSo) {
  Open();
  const auto second = Reopen(100);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(second.error().message.find("another process"), std::string::npos);
}

TEST_F(DiskStoreTest, TheOldestGoesAndOfAPathItsEndFirst) {
  Open(10);
  const TestChain old("old", 4), young("young", 4), next("next", 4);
  Write(old, now_ - 20);
  Write(young, now_ - 10);
  const WriteOutcome outcome = Write(next, now_);
  EXPECT_EQ(outcome.written, 4U);
  EXPECT_EQ(outcome.evicted, 2U);
  EXPECT_EQ(store_->Find(old.keys), 2U) << "its beginning is of use without its end";
  EXPECT_EQ(store_->Find(young.keys), 4U);
  EXPECT_EQ(store_->Find(next.keys), 4U);
  EXPECT_LE(store_->sizes().held_bytes, 10 * kTestRecord);
  // The slots were used again.
  EXPECT_EQ(fs::file_size(DataPath()), 10 * 12288U - (12288 - 4096 - kTestPayload));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(next.Read(*store_, i), std::nullopt);
}

TEST_F(DiskStoreTest, AUseMakesYoung) {
  Open(4);
  const TestChain first("first", 2), second("second", 2), third("third", 2);
  Write(first, now_ - 30);
  Write(second, now_ - 20);
  ASSERT_TRUE(store_->Use(std::vector{first.Use(0, now_ - 10), first.Use(1, now_ - 10)}));
  Write(third, now_);
  EXPECT_EQ(store_->Find(first.keys), 2U);
  EXPECT_EQ(store_->Find(second.keys), 0U);
}

TEST_F(DiskStoreTest, WhatIsPromisedStaysUntilItsTimeIsUp) {
  Open(4);
  const TestChain kept("kept", 3), one("one", 1), many("many", 4);
  Write(kept, now_ - 50, 100);  // until now + 50
  EXPECT_EQ(store_->sizes().promised_bytes, 3 * kTestRecord);
  Write(one, now_);
  const auto crowded = store_->Write(many.Writes(now_), now_);
  ASSERT_TRUE(crowded);
  EXPECT_EQ(crowded->written, 1U);
  EXPECT_EQ(crowded->refused, 3U);
  Open(4);
  EXPECT_EQ(store_->sizes().promised_bytes, 3 * kTestRecord) << "promises outlive the process";
  EXPECT_EQ(store_->Find(kept.keys), 3U);
  // A use within its time renews it for its time.
  ASSERT_TRUE(store_->Use(std::vector{kept.Use(0, now_), kept.Use(1, now_), kept.Use(2, now_)}));
  const TestChain later("later", 4);
  ASSERT_TRUE(store_->Write(later.Writes(now_ + 60), now_ + 60));
  EXPECT_EQ(store_->Find(kept.keys), 3U);
  ASSERT_TRUE(store_->Write(later.Writes(now_ + 101), now_ + 101));
  EXPECT_EQ(store_->Find(later.keys), 4U);
  EXPECT_EQ(store_->Find(kept.keys), 0U);
}

TEST_F(DiskStoreTest, WhatIsIdleForTheRetentionGoes) {
  Open();
  const TestChain idle("idle", 3), used("used", 2);
  Write(idle, now_ - 2000);
  EXPECT_EQ(Write(used, now_ - 10).expired, 3U) << "with the next write";
  EXPECT_EQ(store_->Find(used.keys), 2U);
  const auto outcome = store_->Prune(now_ + 991);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->expired, 2U);
  EXPECT_EQ(store_->sizes().held_bytes, 0U);
}

TEST_F(DiskStoreTest, AClockSetBackLosesNothing) {
  Open(4);
  const TestChain chain("a", 2), next("b", 2);
  Write(chain, now_ + 100'000);
  EXPECT_EQ(Write(next, now_).written, 2U);
  EXPECT_EQ(store_->Find(chain.keys), 2U);
  EXPECT_EQ(chain.Read(*store_, 1), std::nullopt);
}

TEST_F(DiskStoreTest, RecordsOfAnotherSizeShareTheRoom) {
  Open(4);
  const TestChain chain("a", 4);
  Write(chain, now_ - 10);
  Open(4, 2 * kTestPayload);  // another model
  EXPECT_EQ(store_->sizes().records, 4U);
  const std::vector<std::byte> payload(2 * kTestPayload, std::byte{7});
  const TestChain other("other", 1);
  const BlockWrite write{other.Use(0, now_), other.tokens[0], payload};
  const auto outcome = store_->Write(std::span(&write, 1), now_);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->written, 1U);
  EXPECT_EQ(outcome->evicted, 2U);
  Open(4);
  EXPECT_EQ(store_->Find(chain.keys), 2U);
  EXPECT_EQ(chain.Read(*store_, 1), std::nullopt);
}

TEST_F(DiskStoreTest, ClearLeavesNoByteOfAPrompt) {
  Open();
  Write(TestChain("a", 4), now_);
  ASSERT_TRUE(store_->Clear());
  EXPECT_EQ(store_->sizes().held_bytes, 0U);
  EXPECT_EQ(fs::file_size(DataPath()), 0U);
  EXPECT_EQ(Write(TestChain("b", 2), now_).written, 2U);
}

// ---- faults -----------------------------------------------------------------------------------

TEST_F(DiskStoreTest, AFaultOfTheSystemIsAnErrorAndLosesNothingElse) {
  files_.fault = Fault::kOpenFails;
  const auto refused = Reopen(100);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kIo);
  for (const Fault fault : {Fault::kWriteFails, Fault::kSyncFails}) {
    files_.fault = Fault::kNone;
    fs::remove_all(folder_.path() + "/cache");
    Open();
    const TestChain chain("a", 3), next("b", 3);
    Write(chain, now_);
    files_.fault = fault;
    EXPECT_FALSE(store_->Write(next.Writes(now_), now_));
    EXPECT_EQ(store_->Find(next.keys), 0U);
    files_.fault = Fault::kNone;
    EXPECT_EQ(chain.Read(*store_, 2), std::nullopt);
    EXPECT_EQ(Write(next, now_).written, 3U) << "the next try goes well";
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(next.Read(*store_, i), std::nullopt);
  }
  EXPECT_EQ(files_.faults, 3);
}

TEST_F(DiskStoreTest, AReadThatFailsIsAMissFromThenOn) {
  for (const auto& [fault, code] : {std::pair{Fault::kReadFails, ErrorCode::kIo},
                                    {Fault::kReadFlipsABit, ErrorCode::kCorrupt}}) {
    Open();
    const TestChain chain("a", 3);
    Write(chain, now_);
    files_.fault = fault;
    EXPECT_EQ(chain.Read(*store_, 1), code);
    files_.fault = Fault::kNone;
    EXPECT_EQ(store_->Find(chain.keys), 1U);
    EXPECT_EQ(chain.Read(*store_, 1), ErrorCode::kNotFound);
    EXPECT_EQ(Write(chain, now_).written, 1U);
    EXPECT_EQ(chain.Read(*store_, 1), std::nullopt);
  }
}

// Every byte of a record counts.
TEST_F(DiskStoreTest, NoFlippedByteOfTheFileIsServed) {
  Open();
  const TestChain chain("a", 1);
  Write(chain, now_);
  int refused = 0;
  for (size_t at = 0; at < 4096 + kTestPayload; at += at < 96 ? 1 : 197) {
    std::fstream file(DataPath(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 0x10));
    file.close();
    EXPECT_EQ(chain.Read(*store_, 0), ErrorCode::kCorrupt) << "byte " << at;
    ++refused;
    EXPECT_EQ(Write(chain, now_).written, 1U);
    ASSERT_EQ(chain.Read(*store_, 0), std::nullopt);
  }
  EXPECT_GT(refused, 120);
}

TEST_F(DiskStoreTest, TheTokensAreComparedToo) {
  Open();
  TestChain chain("a", 1);
  Write(chain, now_);
  chain.tokens[0][2] += 1;
  EXPECT_EQ(chain.Read(*store_, 0), ErrorCode::kCorrupt);
}

TEST_F(DiskStoreTest, VanishedAndCutFilesAreMisses) {
  Open();
  const TestChain chain("a", 3);
  Write(chain, now_);
  fs::resize_file(DataPath(), 12288 + 100);
  EXPECT_EQ(chain.Read(*store_, 0), std::nullopt);
  EXPECT_EQ(chain.Read(*store_, 1), ErrorCode::kIo);
  store_.reset();
  fs::remove(DataPath());
  Open();
  EXPECT_EQ(chain.Read(*store_, 0), ErrorCode::kIo);
  EXPECT_EQ(Write(chain, now_).written + store_->sizes().records, 3U + 2U);
}

TEST_F(DiskStoreTest, AnIndexThatIsCutOrForeignBeginsAnew) {
  const std::string index = folder_.path() + "/cache/index/data.mdb";
  const TestChain chain("a", 30);
  for (const int way : {0, 1, 2}) {
    Open();
    Write(chain, now_);
    if (way == 2) {
      ASSERT_TRUE(store_->SetNote("format", "0"));
    }
    store_.reset();
    if (way == 0) fs::resize_file(index, fs::file_size(index) / 2);
    if (way == 1) std::ofstream(index, std::ios::trunc) << std::string(40'000, 'x');
    Open();
    EXPECT_NE(store_->found().begun_anew, "") << way;
    EXPECT_EQ(store_->sizes().records, 0U);
    EXPECT_EQ(store_->found().leftover, 30U) << "their room is used again";
    EXPECT_EQ(Write(chain, now_).written, 30U);
    EXPECT_EQ(chain.Read(*store_, 29), std::nullopt);
    ASSERT_TRUE(store_->Clear());
  }
}

TEST_F(DiskStoreTest, RecordsThatNoIndexNamesAreFoundAndReused) {
  Open();
  const TestChain chain("a", 3), next("b", 3);
  Write(chain, now_);
  store_.reset();
  fs::remove_all(folder_.path() + "/cache/index");  // as if killed before the commit
  Open();
  EXPECT_EQ(store_->found().leftover, 3U);
  EXPECT_EQ(store_->found().records, 0U);
  Write(next, now_);
  EXPECT_LE(fs::file_size(DataPath()), 3 * 12288U);
  EXPECT_EQ(next.Read(*store_, 2), std::nullopt);
}

TEST_F(DiskStoreTest, ItIsSaidWhyABlockIsGone) {
  Open(10);
  const TestChain old("a", 3), evicted("b", 8), next("c", 9), never("d", 1);
  Write(old, now_ - 25 * 3600);
  Write(evicted, now_);
  EXPECT_EQ(store_->WhyMissing(old.keys[0]), TierMiss::kExpired);
  Write(next, now_ + 1);
  EXPECT_EQ(store_->WhyMissing(evicted.keys[7]), TierMiss::kEvicted);
  EXPECT_EQ(store_->WhyMissing(never.keys[0]), TierMiss::kAbsent);
  files_.fault = Fault::kReadFlipsABit;
  EXPECT_EQ(next.Read(*store_, 0), ErrorCode::kCorrupt);
  EXPECT_EQ(store_->WhyMissing(next.keys[0]), TierMiss::kChecksum);
  files_.fault = Fault::kReadFails;
  EXPECT_EQ(next.Read(*store_, 1), ErrorCode::kIo);
  EXPECT_EQ(store_->WhyMissing(next.keys[1]), TierMiss::kFailed);
  files_.fault = Fault::kNone;
  EXPECT_TRUE(store_->Clear());
  EXPECT_EQ(store_->WhyMissing(next.keys[0]), TierMiss::kAbsent);
}

TEST_F(DiskStoreTest, VerifyFindsWhatWasChangedAndMendsIt) {
  Open();
  const TestChain chain("a", 4);
  Write(chain, now_);
  {
    std::fstream file(DataPath(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(12288 + 5000);
    file.put('x');
    file.put('y');
  }
  uint64_t calls = 0;
  auto verdict = store_->Verify(false, [&](uint64_t, uint64_t all) {
    ++calls;
    EXPECT_EQ(all, 4U);
  });
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->good, 3U);
  EXPECT_EQ(verdict->bad, 1U);
  EXPECT_EQ(calls, 4U);
  ASSERT_TRUE(store_->Verify(true, [](uint64_t, uint64_t) {}));
  verdict = store_->Verify(false, [](uint64_t, uint64_t) {});
  EXPECT_EQ(verdict->good + verdict->bad, 3U);
}

}  // namespace
}  // namespace reprise

#include "vendor/responses/response_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

namespace reprise {
namespace {

using std::chrono::minutes;

TEST(ResponseStoreTest, AResponseLivesForItsTime) {
  ManualClock clock;
  ResponseStore store(&clock, minutes(30), 1 << 20);
  store.Put("t", "resp_1", {"body", "items"});
  clock.Advance(minutes(29));
  store.Put("t", "resp_2", {"second", "items"});
  ASSERT_NE(store.Find("t", "resp_1"), nullptr);
  EXPECT_EQ(store.Find("t", "resp_1")->body, "body");
  clock.Advance(minutes(1));
  EXPECT_EQ(store.Find("t", "resp_1"), nullptr);
  EXPECT_NE(store.Find("t", "resp_2"), nullptr);
}

TEST(ResponseStoreTest, NobodySeesAnothersAndErasedOnesAreGone) {
  ManualClock clock;
  ResponseStore store(&clock, minutes(30), 1 << 20);
  store.Put("a", "resp_1", {"body", "items"});
  EXPECT_EQ(store.Find("b", "resp_1"), nullptr);
  EXPECT_FALSE(store.Erase("b", "resp_1"));
  EXPECT_TRUE(store.Erase("a", "resp_1"));
  EXPECT_FALSE(store.Erase("a", "resp_1"));
  EXPECT_EQ(store.Find("a", "resp_1"), nullptr);
}

TEST(ResponseStoreTest, TheOldestOfWhoeverHoldsMostGoFirst) {
  ManualClock clock;
  ResponseStore store(&clock, minutes(30), 20'000);
  store.Put("few", "resp_few", {"body", std::string(1000, 'x')});
  for (int i = 0; i < 100; ++i) {
    store.Put("many", fmt::format("resp_{}", i), {"body", std::string(1000, 'x')});
    if (i % 10 == 0) store.Erase("many", fmt::format("resp_{}", i));
  }
  EXPECT_NE(store.Find("few", "resp_few"), nullptr);
  EXPECT_EQ(store.Find("many", "resp_1"), nullptr);
  EXPECT_NE(store.Find("many", "resp_99"), nullptr);
  store.Put("many", "resp_large", {std::string(30'000, 'x'), ""});
  EXPECT_EQ(store.Find("many", "resp_large"), nullptr);
  EXPECT_NE(store.Find("many", "resp_99"), nullptr);
}

TEST(ResponseStoreTest, WithoutALifetimeNothingIsStored) {
  ManualClock clock;
  ResponseStore store(&clock, minutes(0), 1 << 20);
  store.Put("t", "resp_1", {"body", "items"});
  EXPECT_EQ(store.Find("t", "resp_1"), nullptr);
}

}  // namespace
}  // namespace reprise

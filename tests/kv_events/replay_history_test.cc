#include "kv_events/replay_history.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace reprise {
namespace {

class ReplayHistoryTest : public ::testing::Test {
 protected:
  // "number:payload" of each.
  std::vector<std::string> From(uint64_t start) const {
    std::vector<std::string> seen;
    history_.ForEachFrom(start, [&](const ReplayedBatch& batch) {
      seen.push_back(fmt::format("{}:{}", batch.number, *batch.payload));
      return true;
    });
    return seen;
  }
  void Add(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string name = fmt::format("c{}", history_.next());
      EXPECT_EQ(*history_.Add(name).payload, name);
    }
  }

  using Seen = std::vector<std::string>;
  ReplayHistory history_{4, 1000};
};

TEST_F(ReplayHistoryTest, WhatIsKeptIsReplayedFromTheNumberAskedFor) {
  Add(3);
  EXPECT_EQ(From(0), (Seen{"0:c0", "1:c1", "2:c2"}));
  EXPECT_EQ(From(2), Seen{"2:c2"});
  EXPECT_EQ(From(3), Seen{});
  EXPECT_EQ(From(UINT64_MAX), Seen{});
}

TEST_F(ReplayHistoryTest, WithoutAWholeNothingIsForgotten) {
  Add(20);
  EXPECT_EQ(From(0).size(), 20);
  EXPECT_TRUE(history_.Older());
}

TEST_F(ReplayHistoryTest, AWholeIsDueWhenHalfOfWhatMayBeKeptFollowsIt) {
  Add(2);
  EXPECT_FALSE(history_.Older());
  Add(1);
  EXPECT_TRUE(history_.Older());
  history_.SetWhole({"whole"});
  EXPECT_FALSE(history_.Older());
  history_.Add(std::string(501, 'x'));  // of 1000 bytes
  EXPECT_TRUE(history_.Older());
}

TEST_F(ReplayHistoryTest, WhoeverAsksForWhatIsForgottenGetsAWholeAndAllBehindIt) {
  Add(10);
  history_.SetWhole({"a", "b"});  // in place of 8 and 9
  Add(1);
  EXPECT_EQ(From(0), (Seen{"8:a", "9:b", "10:c10"}));
  EXPECT_EQ(From(6), (Seen{"8:a", "9:b", "10:c10"}));
  // These are still kept as they were published.
  EXPECT_EQ(From(7), (Seen{"7:c7", "8:c8", "9:c9", "10:c10"}));
}

TEST_F(ReplayHistoryTest, BytesAreBoundedToo) {
  for (int i = 0; i < 3; ++i) history_.Add(std::string(400, 'x'));
  history_.SetWhole({"whole"});
  EXPECT_EQ(From(0).size(), 1);  // all three had gone before: the whole alone
  EXPECT_EQ(From(1).size(), 2);
}

TEST_F(ReplayHistoryTest, AReaderThatTakesNoMoreEndsIt) {
  Add(3);
  int seen = 0;
  history_.ForEachFrom(0, [&](const ReplayedBatch&) { return ++seen < 2; });
  EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace reprise

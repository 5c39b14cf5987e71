// Holdings against sets that are asked one by one.

#include "fleet/holdings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <tuple>
#include <vector>

namespace reprise {
namespace {

constexpr std::array kAllLevels = {Level::kMemory, Level::kDisk, Level::kShared, Level::kComing};

class NaiveHoldings {
 public:
  std::set<std::tuple<size_t, Level, BlockName>> held;
  std::set<size_t> sharing;

  bool Has(size_t replica, Level level, BlockName name) const {
    return held.contains({replica, level, name});
  }
  bool InMemory(size_t replica, BlockName name) const {
    return Has(replica, Level::kMemory, name) || Has(replica, Level::kComing, name);
  }
  bool OnDisk(size_t replica, BlockName name) const {
    return InMemory(replica, name) || Has(replica, Level::kDisk, name);
  }
  bool Loadable(size_t replica, BlockName name) const {
    if (OnDisk(replica, name)) return true;
    if (!sharing.contains(replica)) return false;
    for (size_t other = 0; other < limits::kMaxReplicas; ++other) {
      if (Has(other, Level::kShared, name)) return true;
    }
    return false;
  }
  template <typename Test>
  static uint32_t Leading(const std::vector<BlockName>& chain, Test test) {
    uint32_t count = 0;
    while (count < chain.size() && test(chain[count])) ++count;
    return count;
  }
  Reach Find(size_t replica, const std::vector<BlockName>& chain) const {
    return {
        .memory_blocks = Leading(chain, [&](BlockName name) { return InMemory(replica, name); }),
        .disk_blocks = Leading(chain, [&](BlockName name) { return OnDisk(replica, name); }),
        .loadable_blocks = Leading(chain, [&](BlockName name) { return Loadable(replica, name); })};
  }
  size_t DifferentNames() const {
    std::set<BlockName> names;
    for (const auto& [replica, level, name] : held) names.insert(name);
    return names.size();
  }
  size_t Count(size_t replica, Level level) const {
    return static_cast<size_t>(std::ranges::count_if(held, [&](const auto& entry) {
      return std::get<0>(entry) == replica && std::get<1>(entry) == level;
    }));
  }
};

// Names that fall together in a small table as well as those that do not.
BlockName NameAt(uint64_t i) { return i % 3 == 0 ? i << 40 : i * 0x9E3779B97F4A7C15u; }

TEST(HoldingsTest, SaysWhatSetsSayUnderRandomTraffic) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Holdings holdings(1 << 20);
  NaiveHoldings naive;
  constexpr size_t kReplicas = 5, kNames = 3000;
  for (int step = 0; step < 60'000; ++step) {
    // The last replica is the last that there can be.
    size_t replica = random() % kReplicas;
    if (replica == kReplicas - 1) replica = limits::kMaxReplicas - 1;
    const Level level = kAllLevels[random() % kAllLevels.size()];
    const BlockName name = NameAt(random() % kNames);
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        EXPECT_TRUE(holdings.Store(replica, level, name));
        naive.held.insert({replica, level, name});
        break;
      case 4:
      case 5:
      case 6:
        holdings.Remove(replica, level, name);
        naive.held.erase({replica, level, name});
        break;
      default:
        if (random() % 500 == 0) {
          holdings.Clear(replica, level);
          std::erase_if(naive.held, [&](const auto& entry) {
            return std::get<0>(entry) == replica && std::get<1>(entry) == level;
          });
        } else if (random() % 100 == 0) {
          const bool sharing = random() % 2 == 0;
          holdings.SetSharing(replica, sharing);
          sharing ? void(naive.sharing.insert(replica)) : void(naive.sharing.erase(replica));
        }
    }
    if (step % 20 != 0) continue;
    std::vector<BlockName> chain(random() % 40);
    const uint64_t first = random() % kNames;
    for (size_t i = 0; i < chain.size(); ++i) chain[i] = NameAt((first + i) % kNames);
    std::vector<Reach> reach(limits::kMaxReplicas);
    holdings.Find(chain, reach);
    for (const size_t asked : {size_t{0}, size_t{1}, size_t{4}, limits::kMaxReplicas - 1}) {
      ASSERT_EQ(reach[asked], naive.Find(asked, chain)) << "replica " << asked;
    }
    ASSERT_EQ(holdings.size(), naive.DifferentNames());
    ASSERT_EQ(holdings.blocks(replica, level), naive.Count(replica, level));
  }
}

TEST(HoldingsTest, WhatDoesNotFitStaysUnknownAndIsCounted) {
  Holdings holdings(2);
  EXPECT_TRUE(holdings.Store(0, Level::kMemory, 1));
  EXPECT_TRUE(holdings.Store(0, Level::kMemory, 2));
  EXPECT_FALSE(holdings.Store(0, Level::kMemory, 3));
  EXPECT_TRUE(holdings.Store(1, Level::kMemory, 2)) << "it is known already";
  EXPECT_EQ(holdings.refused(), 1u);
  holdings.Remove(0, Level::kMemory, 1);
  EXPECT_TRUE(holdings.Store(0, Level::kMemory, 3));
}

TEST(HoldingsTest, NobodyReadsASharedStoreThatHeDoesNotShare) {
  Holdings holdings(10);
  holdings.SetSharing(1, true);
  EXPECT_TRUE(holdings.Store(0, Level::kShared, 7));
  std::array<Reach, 2> reach;
  holdings.Find(std::array<BlockName, 1>{7}, reach);
  EXPECT_EQ(reach[0].loadable_blocks, 0u);
  EXPECT_EQ(reach[1].loadable_blocks, 1u);
  EXPECT_EQ(reach[1].disk_blocks, 0u);
}

TEST(HoldingsTest, WhatIsComingCountsAsInMemoryUntilItIsTakenBack) {
  Holdings holdings(10);
  EXPECT_TRUE(holdings.Store(0, Level::kMemory, 1));
  EXPECT_TRUE(holdings.Store(0, Level::kComing, 2));
  std::array<Reach, 1> reach;
  holdings.Find(std::array<BlockName, 3>{1, 2, 3}, reach);
  EXPECT_EQ(reach[0].memory_blocks, 2u);
  holdings.Remove(0, Level::kComing, 2);
  holdings.Find(std::array<BlockName, 3>{1, 2, 3}, reach);
  EXPECT_EQ(reach[0].memory_blocks, 1u);
}

}  // namespace
}  // namespace reprise

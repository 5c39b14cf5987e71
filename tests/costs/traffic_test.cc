// What prompts share, found by a tree, beside what comparing them two by two finds.

#include "costs/traffic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <span>
#include <vector>

#include "costs/prefix_paths.h"
#include "sent_prompts.h"

namespace reprise {
namespace {

using Kind = PartName::Kind;

TEST(PrefixPaths, SharedNodesAreWhatTwoPromptsShare) {
  std::mt19937 random(7);
  std::vector<std::vector<TokenId>> prompts;
  for (int i = 0; i < 60; ++i) {
    std::vector<TokenId> prompt;
    if (i > 0 && random() % 4 > 0) {
      prompt = prompts[random() % prompts.size()];
      prompt.resize(random() % prompt.size() + 1);
    }
    for (size_t more = random() % 6 + 1; more > 0; --more) {
      prompt.push_back(static_cast<TokenId>(random() % 3));
    }
    prompts.push_back(std::move(prompt));
  }
  const std::vector<std::span<const TokenId>> views(prompts.begin(), prompts.end());
  const PrefixPaths paths(views);
  for (size_t a = 0; a < prompts.size(); ++a) {
    const auto path = paths.PathOf(a);
    EXPECT_EQ(path.back().end, prompts[a].size());
    for (size_t b = 0; b < prompts.size(); ++b) {
      const auto other = paths.PathOf(b);
      size_t shared = 0;
      for (size_t i = 0; i < std::min(path.size(), other.size()); ++i) {
        if (path[i].node != other[i].node) break;
        shared = path[i].end;
      }
      const auto differs = std::ranges::mismatch(prompts[a], prompts[b]).in1;
      ASSERT_EQ(shared, static_cast<size_t>(differs - prompts[a].begin()));
    }
  }
}

TEST(Traffic, EqualPrefixesAreOnePlaceAndOtherPromptsBlocksAreNone) {
  // The second one's system text begins like the first one's, and goes on.
  const Traffic traffic = TrafficOf({Sent(1, {{Kind::kSystem, 30, 1}, {Kind::kMessage, 5, 2}}),
                                     Sent(0, {{Kind::kSystem, 40, 1}, {Kind::kMessage, 5, 2}}),
                                     Sent(2, {{Kind::kSystem, 30, 1}, {Kind::kMessage, 5, 3}})});
  ASSERT_EQ(traffic.prompts.size(), 3u);
  EXPECT_EQ(traffic.prompts[0].tokens, 45u);  // by time
  EXPECT_EQ(traffic.prompts[1].places[0].prefix, traffic.prompts[2].places[0].prefix);
  EXPECT_NE(traffic.prompts[1].places[1].prefix, traffic.prompts[2].places[1].prefix);
  EXPECT_EQ(traffic.prompts[0].places.size(), 2u);
  EXPECT_EQ(traffic.families, 2u);
  EXPECT_EQ(traffic.prompts[1].family, traffic.prompts[2].family);
}

TEST(Traffic, AMarkInsideAPartIsAPlaceOfWhoeverSharesIt) {
  const Traffic traffic =
      TrafficOf({Sent(0, {{Kind::kSystem, 40, 1}}, {{20, std::chrono::minutes(5)}}),
                 Sent(1, {{Kind::kSystem, 40, 1}})});
  ASSERT_EQ(traffic.prompts[1].places.size(), 2u);
  EXPECT_FALSE(traffic.prompts[1].places[0].ends_block);
  EXPECT_TRUE(traffic.prompts[0].places[0].ends_block);
  EXPECT_EQ(traffic.prompts[0].marks[0].seconds, 300);
}

TEST(Traffic, APromptWithoutPartsIsOne) {
  SentPrompt prompt{.tokens = {1, 2, 3}};
  const Traffic traffic = TrafficOf({prompt, SentPrompt()});
  ASSERT_EQ(traffic.prompts.size(), 1u);
  EXPECT_EQ(traffic.prompts[0].parts[0].name.kind, Kind::kPrompt);
  EXPECT_EQ(traffic.prompts[0].places[0].tokens, 3u);
}

}  // namespace
}  // namespace reprise

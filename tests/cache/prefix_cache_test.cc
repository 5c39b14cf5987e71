#include "cache/prefix_cache.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(PrefixCache, FindsNothingWhenEmpty) {
  auto pool = BlockPool::Create(4, 64).value();
  ManualClock clock;
  PrefixCache cache(pool.get(), &clock, {.block_tokens = 2});
  const std::vector<TokenId> tokens = {1, 2, 3};
  EXPECT_EQ(cache.Match("a", tokens, 3).tokens, 0u);
  cache.Check();
}

}  // namespace
}  // namespace reprise

#include "base/common_tokens.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace reprise {
namespace {

void Extend(std::vector<TokenId>& tokens, TokenId from, size_t count) {
  for (size_t i = 0; i < count; ++i) tokens.push_back(from + static_cast<TokenId>(i));
}

TEST(CommonTokensTest, EqualsTheNaiveCount) {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    const size_t common = random() % 1600;
    std::vector<TokenId> a;
    Extend(a, 1, common);
    std::vector<TokenId> b = a;
    if (random() % 4 != 0) Extend(a, 5000, 1 + random() % 700);
    if (random() % 4 != 0) Extend(b, 9000, 1 + random() % 700);
    size_t naive = 0;
    while (naive < a.size() && naive < b.size() && a[naive] == b[naive]) ++naive;
    ASSERT_EQ(CommonTokens(a, b), naive);
    ASSERT_EQ(CommonTokens(b, a), naive);
  }
}

}  // namespace
}  // namespace reprise

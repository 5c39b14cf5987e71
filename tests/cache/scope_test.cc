#include "cache/scope.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace reprise {
namespace {

// All texts of up to four of these bytes: those that mean something in a scope, and one that does
// not.
std::vector<std::string> ShortTexts() {
  std::vector<std::string> texts = {""};
  for (size_t first = 0, length = 0; length < 4; ++length) {
    const size_t end = texts.size();
    for (; first < end; ++first) {
      for (const char byte : {'\0', '\1', 'a'}) texts.push_back(texts[first] + byte);
    }
  }
  return texts;
}

TEST(ScopeTest, NoTwoPairsOfTenantAndCacheKeyHaveTheSameScope) {
  const std::vector<std::string> texts = ShortTexts();
  std::map<std::string, std::pair<std::string, std::string>> seen;
  for (const std::string& tenant : texts) {
    for (const std::string& cache_key : texts) {
      const std::string scope = ScopeOf(tenant, cache_key);
      EXPECT_TRUE(seen.emplace(scope, std::pair(tenant, cache_key)).second);
      EXPECT_EQ(TenantOf(scope), tenant);
    }
  }
}

TEST(ScopeTest, WithoutACacheKeyItIsTheTenant) {
  EXPECT_EQ(ScopeOf("org/ws", ""), "org/ws");
  EXPECT_EQ(ScopeOf("", ""), "");
}

}  // namespace
}  // namespace reprise

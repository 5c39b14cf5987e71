#include "text/token_memo.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace reprise {
namespace {

using Ids = std::vector<TokenId>;

void Remember(TokenMemo* memo, const std::string& segment, const Ids& ids) {
  memo->Remember("", segment, ids.data(), ids.size());
}

TEST(TokenMemoTest, WhatWasRememberedIsAppended) {
  TokenMemo memo(10'000);
  Ids ids = {1};
  EXPECT_FALSE(memo.AppendKnown("", "segment", &ids));
  Remember(&memo, "segment", {2, 3});
  EXPECT_TRUE(memo.AppendKnown("", "segment", &ids));
  EXPECT_EQ(ids, (Ids{1, 2, 3}));
  EXPECT_FALSE(memo.AppendKnown("", "segments", &ids));
}

TEST(TokenMemoTest, TheLeastRecentlyUsedGoesFirst) {
  const std::string a(1000, 'a'), b(1000, 'b'), c(1000, 'c');
  TokenMemo memo(2'900);
  Remember(&memo, a, {1});
  Remember(&memo, b, {2});
  Ids ids;
  EXPECT_TRUE(memo.AppendKnown("", a, &ids));
  Remember(&memo, c, {3});
  EXPECT_TRUE(memo.AppendKnown("", a, &ids));
  EXPECT_FALSE(memo.AppendKnown("", b, &ids));
  EXPECT_TRUE(memo.AppendKnown("", c, &ids));
  EXPECT_EQ(ids, (Ids{1, 1, 3}));
}

TEST(TokenMemoTest, NeverHoldsMoreThanItsCapacity) {
  TokenMemo memo(5'000);
  for (int i = 0; i < 100; ++i) {
    Remember(&memo, std::string(static_cast<size_t>(i * 37 % 900), 'x') + std::to_string(i), {i});
    EXPECT_LE(memo.used_bytes(), 5'000u);
  }
  EXPECT_GT(memo.used_bytes(), 2'000u);
  Remember(&memo, std::string(6'000, 'y'), {1});
  Ids ids;
  EXPECT_FALSE(memo.AppendKnown("", std::string(6'000, 'y'), &ids));
}

TEST(TokenMemoTest, WhatOneTenantLeftIsNotFoundForAnother) {
  TokenMemo memo(10'000);
  const Ids left = {2, 3};
  memo.Remember("a/b", "segment", left.data(), left.size());
  Ids ids;
  for (const char* tenant : {"", "a", "a/c", "a/bs"}) {
    EXPECT_FALSE(memo.AppendKnown(tenant, "segment", &ids)) << tenant;
    EXPECT_FALSE(memo.AppendKnown(tenant, "a/bsegment", &ids)) << tenant;
  }
  const Ids other = {5};
  memo.Remember("a/c", "segment", other.data(), other.size());
  EXPECT_TRUE(memo.AppendKnown("a/b", "segment", &ids));
  EXPECT_TRUE(memo.AppendKnown("a/c", "segment", &ids));
  EXPECT_EQ(ids, (Ids{2, 3, 5}));
}

TEST(TokenMemoTest, RememberingTwiceIsRememberingOnce) {
  TokenMemo memo(5'000);
  Remember(&memo, "segment", {1});
  const size_t used = memo.used_bytes();
  Remember(&memo, "segment", {1});
  EXPECT_EQ(memo.used_bytes(), used);
}

}  // namespace
}  // namespace reprise

// The fields of a query, beside what Python's urllib.parse.parse_qs makes of the same ones.

#include "http/query.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(QueryTest, FieldsAreFoundByTheirNamesAndDecoded) {
  const std::string_view query =
      "text=true&name=a%20b%2Fc+d&sum=1%2B1&empty=&bare&text=again&x%79=z";
  EXPECT_EQ(QueryField(query, "text"), "true") << "the first";
  EXPECT_EQ(QueryField(query, "name"), "a b/c d");
  EXPECT_EQ(QueryField(query, "sum"), "1+1");
  EXPECT_EQ(QueryField(query, "empty"), "");
  EXPECT_EQ(QueryField(query, "bare"), "");
  EXPECT_EQ(QueryField(query, "xy"), "z");
  EXPECT_EQ(QueryField(query, "tex"), std::nullopt);
  EXPECT_EQ(QueryField("", "text"), std::nullopt);
}

TEST(QueryTest, WhatIsNoEscapeStays) {
  EXPECT_EQ(QueryField("a=100%", "a"), "100%");
  EXPECT_EQ(QueryField("a=%4", "a"), "%4");
  EXPECT_EQ(QueryField("a=%zz%41", "a"), "%zzA");
  EXPECT_EQ(QueryField("a=%-1", "a"), "%-1");
}

}  // namespace
}  // namespace reprise

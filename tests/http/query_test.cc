#include "http/query.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(Query, ValuesAreFoundByTheirNamesAndDecoded) {
  const std::string_view query =
      "prices=Anthropic%20Opus+5.5&rule=input%20%3D%201&prices=other&flag";
  EXPECT_EQ(QueryValue(query, "prices"), "Anthropic Opus 5.5");
  EXPECT_EQ(QueryValue(query, "rule"), "input = 1");
  EXPECT_EQ(QueryValue(query, "flag"), "");
  EXPECT_EQ(QueryValue(query, "price"), std::nullopt);
  EXPECT_EQ(QueryValue("", "prices"), std::nullopt);
}

TEST(Query, AMalformedOneHasNoValues) {
  EXPECT_EQ(QueryValue("prices=%2", "prices"), std::nullopt);
  EXPECT_EQ(QueryValue("prices=%zz", "prices"), std::nullopt);
}

}  // namespace
}  // namespace reprise

#include "http/route.h"

#include <gtest/gtest.h>

#include <array>

namespace reprise {
namespace {

struct Entry {
  Route route;
};
constexpr std::array kTable = {
    Entry{{"GET", "/"}},
    Entry{{"GET", "/things"}},
    Entry{{"DELETE", "/things"}},
    Entry{{"GET", "/things/"}},
};

// The place in the table, -1 if none, and the methods that the path has.
std::pair<long, std::string> Find(std::string_view method, std::string_view path) {
  const auto match = FindRoute(std::span<const Entry>(kTable), method, path);
  return {match.route == nullptr ? -1 : match.route - kTable.data(), match.allowed};
}

TEST(RouteTest, IsFoundByMethodAndPath) {
  EXPECT_EQ(Find("GET", "/").first, 0);
  EXPECT_EQ(Find("GET", "/things").first, 1);
  EXPECT_EQ(Find("DELETE", "/things").first, 2);
  EXPECT_EQ(Find("HEAD", "/things").first, 1) << "as GET";
}

TEST(RouteTest, AnEndingSlashTakesANameBehindIt) {
  EXPECT_EQ(Find("GET", "/things/7").first, 3);
  EXPECT_EQ(Find("GET", "/things/a/b").first, 3);
  EXPECT_EQ(Find("GET", "/things/"), std::pair(-1L, std::string())) << "there is no name";
  EXPECT_EQ(Find("GET", "/other"), std::pair(-1L, std::string())) << "the root takes no name";
}

TEST(RouteTest, AWrongMethodIsToldTheRightOnes) {
  EXPECT_EQ(Find("POST", "/things"), std::pair(-1L, std::string("GET, DELETE")));
  EXPECT_EQ(Find("HEAD", "/things/7").first, 3);
  EXPECT_EQ(Find("get", "/things").first, -1) << "methods are case-sensitive";
}

}  // namespace
}  // namespace reprise

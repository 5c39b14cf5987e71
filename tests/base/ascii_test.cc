#include "base/ascii.h"

#include <gtest/gtest.h>

#include <vector>

namespace reprise {
namespace {

TEST(AsciiTest, OnlyTheCaseOfLettersIsIgnored) {
  EXPECT_TRUE(EqualsIgnoringCase("Chunked", "cHUNKED"));
  EXPECT_FALSE(EqualsIgnoringCase("chunked", "chunke"));
  EXPECT_FALSE(EqualsIgnoringCase("@[`{", "`{@["));
  EXPECT_FALSE(EqualsIgnoringCase("\xC3\x84", "\xC3\xA4")) << "not of ASCII";
}

// The sanitizer sees a read behind the end.
TEST(AsciiTest, NothingBehindTheEndIsRead) {
  const std::vector<char> exact = {'h', 't', 'T'};
  EXPECT_TRUE(EqualsIgnoringCase({exact.data(), exact.size()}, "htt"));
}

}  // namespace
}  // namespace reprise

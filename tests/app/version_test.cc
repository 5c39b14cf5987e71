#include "app/version.h"

#include <gtest/gtest.h>

#include <regex>

namespace reprise {
namespace {

TEST(VersionTest, TheLineSaysVersionCommitAndInstructionSet) {
  const std::regex form(R"(reprise \d+\.\d+\.\d+ \(commit ([0-9a-f]{7,}(-dirty)?|unknown), )"
                        R"((amx|avx512|avx_vnni|avx2|plain)\))");
  EXPECT_TRUE(std::regex_match(VersionLine(), form)) << VersionLine();
}

}  // namespace
}  // namespace reprise

#include "hub/hub_settings.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>

#include "fixtures/test_folder.h"

namespace reprise {
namespace {

Result<HubSettings> Read(const std::map<std::string, std::string>& variables) {
  return ReadHubSettings([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(HubSettingsTest, TheFolderIsThatOfTheHubsTools) {
  using Variables = std::map<std::string, std::string>;
  const auto folder = [](const Variables& variables) { return Read(variables)->cache_folder; };
  EXPECT_EQ(folder({{"HOME", "/h"}}), "/h/.cache/huggingface/hub");
  EXPECT_EQ(folder({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}), "/x/huggingface/hub");
  EXPECT_EQ(folder({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "/y"}}), "/y/hub");
  EXPECT_EQ(folder({{"HOME", "/h"}, {"HF_HOME", "~/y"}}), "/h/y/hub");
  EXPECT_EQ(folder({{"HF_HOME", "/y"}, {"HUGGINGFACE_HUB_CACHE", "/z"}}), "/z");
  EXPECT_EQ(folder({{"HUGGINGFACE_HUB_CACHE", "/z"}, {"HF_HUB_CACHE", "/a"}}), "/a");
  EXPECT_EQ(Read({}).error().code, ErrorCode::kInvalidArgument);
}

TEST(HubSettingsTest, TheTokenIsTheEnvironmentsElseTheLogins) {
  const TestFolder folder;
  std::ofstream(folder.path() + "/token") << "hf_of_file\n";
  EXPECT_EQ(Read({{"HF_HOME", folder.path()}})->token, "hf_of_file");
  EXPECT_EQ(Read({{"HF_HOME", folder.path()}})->token_source, folder.path() + "/token");
  EXPECT_EQ(Read({{"HF_HOME", folder.path()}, {"HF_TOKEN", " hf_x\n"}})->token, "hf_x");
  EXPECT_EQ(Read({{"HF_HOME", "/none"}, {"HF_TOKEN_PATH", folder.path() + "/token"}})->token,
            "hf_of_file");
  EXPECT_EQ(Read({{"HF_HOME", "/none"}})->token, "");
  const Result<HubSettings> two_lines = Read({{"HF_HOME", "/none"}, {"HF_TOKEN", "a\r\nX: b"}});
  ASSERT_FALSE(two_lines) << "it would be a header of its own";
  EXPECT_EQ(two_lines.error().message.find("X: b"), std::string::npos) << "nor is it shown";
}

TEST(HubSettingsTest, TheEndpointIsAUrl) {
  EXPECT_EQ(Read({{"HOME", "/h"}})->endpoint, "https://huggingface.co");
  EXPECT_EQ(Read({{"HOME", "/h"}, {"HF_ENDPOINT", "http://mirror:8000/hub//"}})->endpoint,
            "http://mirror:8000/hub");
  EXPECT_FALSE(Read({{"HOME", "/h"}, {"HF_ENDPOINT", "file:///etc"}}));
}

TEST(HubSettingsTest, OfflineIsWhatTheHubsToolsTakeForTrue) {
  for (const char* text : {"1", "ON", "yes", "True"}) {
    EXPECT_TRUE(Read({{"HOME", "/h"}, {"HF_HUB_OFFLINE", text}})->offline) << text;
  }
  EXPECT_FALSE(Read({{"HOME", "/h"}, {"HF_HUB_OFFLINE", "0"}})->offline);
  EXPECT_FALSE(Read({{"HOME", "/h"}})->offline);
}

}  // namespace
}  // namespace reprise

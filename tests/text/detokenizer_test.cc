#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace reprise {
namespace {

// Pushes the text cut at the bits of `cuts`: bit i set, a cut after byte i.
std::vector<std::string> PushCut(std::string_view text, uint32_t cuts) {
  Detokenizer detokenizer;
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && (cuts >> i & 1) == 0) continue;
    parts.push_back(detokenizer.Push(text.substr(begin, i + 1 - begin)));
    begin = i + 1;
  }
  parts.push_back(detokenizer.Finish());
  return parts;
}

std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

TEST(DetokenizerTest, EverySplitOfCharactersYieldsThemWholeAndUnchanged) {
  for (const std::string_view text : {"a\u00E9\u4E2D", "\U0001F600z", "\u4E2D\u6587\u0416",
                                      "\U0001F469\u200D\U0001F680", "\uFFFD\uFFFDx"}) {
    for (uint32_t cuts = 0; cuts < 1u << (text.size() - 1); ++cuts) {
      const std::vector<std::string> parts = PushCut(text, cuts);
      EXPECT_EQ(Join(parts), text);
      for (const std::string& part : parts) EXPECT_TRUE(IsValidUtf8(part));
    }
  }
}

TEST(DetokenizerTest, BytesOfAnUnfinishedCharacterAreHeldBack) {
  Detokenizer detokenizer;
  EXPECT_EQ(detokenizer.Push("x\xF0\x9F"), "x");
  EXPECT_EQ(detokenizer.pending_bytes(), 2u);
  EXPECT_EQ(detokenizer.Push("\x98"), "");
  EXPECT_EQ(detokenizer.pending_bytes(), 3u);
  EXPECT_EQ(detokenizer.Push("\x80y"), "\U0001F600y");
  EXPECT_EQ(detokenizer.pending_bytes(), 0u);
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(DetokenizerTest, ACharacterCutOffByTheEndIsOneReplacement) {
  Detokenizer detokenizer;
  EXPECT_EQ(detokenizer.Push("ab\xE4\xB8"), "ab");
  EXPECT_EQ(detokenizer.Finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.Finish(), "");
}

// Each expectation is bytes.decode("utf-8", errors="replace") of Python.
TEST(DetokenizerTest, FaultyBytesAreReplacedAsPythonReplacesThem) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"\x80", "\uFFFD"},
      {"\xC0\xAF", "\uFFFD\uFFFD"},
      {"\xC3(", "\uFFFD("},
      {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xE4\xB8z", "\uFFFDz"},
      {"\xF0\x9F\x98z", "\uFFFDz"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\xE4\xB8\xAD", "\uFFFD\u4E2D"},
      {"\xFF\xFE", "\uFFFD\uFFFD"},
  };
  for (const auto& [bytes, expected] : cases) {
    for (uint32_t cuts = 0; cuts < 1u << (bytes.size() - 1); ++cuts) {
      EXPECT_EQ(Join(PushCut(bytes, cuts)), expected);
    }
  }
}

TEST(Utf8Test, OnlyWellFormedTextIsValid) {
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8("long enough for eight at once \u00E9\u4E2D\U0001F600\U0010FFFF"));
  for (const std::string_view bad : {"\x80", "\xC1\x81", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                     "\xF5\x80\x80\x80", "01234567\xE4\xB8", "01234567\xFF"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
  }
}

}  // namespace
}  // namespace reprise

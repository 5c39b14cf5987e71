#include "engine/reply_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace reprise {
namespace {

// Pushes byte by byte; what the client would have seen at the end.
std::string ShowBytewise(std::vector<std::string> stop, std::string_view bytes,
                         std::string* stopped = nullptr) {
  ReplyText text(std::move(stop));
  std::string shown;
  for (char byte : bytes) {
    shown += text.Push(std::string_view(&byte, 1));
    if (text.stopped()) {
      if (stopped != nullptr) *stopped = *text.stopped();
      return shown;
    }
  }
  return shown + text.Finish();
}

TEST(ReplyText, ShowsTextAtOnceWhereNoStopStringCouldBegin) {
  ReplyText text({"###"});
  EXPECT_EQ(text.Push("Hello"), "Hello");
}

TEST(ReplyText, HoldsBackWhatMightBecomeAStopString) {
  ReplyText text({"###"});
  EXPECT_EQ(text.Push("a##"), "a");
  EXPECT_EQ(text.Push("b"), "##b");
}

TEST(ReplyText, EndsBeforeTheStopString) {
  std::string stopped;
  EXPECT_EQ(ShowBytewise({"END", "STOP"}, "one STOP two END", &stopped), "one ");
  EXPECT_EQ(stopped, "STOP");
}

TEST(ReplyText, TakesTheFirstOfSeveralStopStringsInOnePiece) {
  ReplyText text({"two", "one"});
  EXPECT_EQ(text.Push("zero one two"), "zero ");
  EXPECT_EQ(text.stopped(), "one");
}

TEST(ReplyText, FindsAStopStringThatRepeatsItsOwnBeginning) {
  EXPECT_EQ(ShowBytewise({"aab"}, "xaaab"), "xa");
}

TEST(ReplyText, ReleasesAHalfStopStringAtTheEnd) {
  EXPECT_EQ(ShowBytewise({"STOP"}, "half STO"), "half STO");
}

TEST(ReplyText, NeverShowsHalfACharacter) {
  ReplyText text({});
  EXPECT_EQ(text.Push("\xF0\x9F"), "");
  EXPECT_EQ(text.Push("\x98\x80!"), "\xF0\x9F\x98\x80!");
}

TEST(ReplyText, LeavesOutTheCharacterThatTheLimitCuts) {
  EXPECT_EQ(ShowBytewise({}, "a\xF0\x9F\x98"), "a");
  EXPECT_EQ(ShowBytewise({"b!"}, "a b\xC3"), "a b")
      << "and keeps what might have been a stop string";
}

}  // namespace
}  // namespace reprise

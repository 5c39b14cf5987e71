// Where a text said the same before, how a reply follows a prediction, and what guesses are worth.

#include "engine/guesses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string_view>
#include <vector>

namespace reprise {
namespace {

using Text = std::vector<TokenId>;

Text Letters(std::string_view letters) { return {letters.begin(), letters.end()}; }

// As its header says, place by place.
std::optional<EarlierMatch> FindEarlierNaively(const Text& tokens) {
  EarlierMatch best;
  int places = 0;
  for (size_t next = tokens.size() - 1; next >= 3 && places < 16; --next) {
    size_t length = 0;
    while (length < 32 && length < next &&
           tokens[next - 1 - length] == tokens[tokens.size() - 1 - length]) {
      ++length;
    }
    if (length < 3) continue;
    ++places;
    if (length > best.length) best = {next, length};
    if (length == 32) break;
  }
  if (best.length == 0) return std::nullopt;
  return best;
}

TEST(GuessesTest, FindsWhereTheTextWasTheSameTheLongest) {
  const auto next_letter = [](std::string_view text) {
    const auto found = FindEarlier(Letters(text));
    return found ? text[found->next] : '-';
  };
  EXPECT_EQ(next_letter("abcdeXabc"), 'd');
  EXPECT_EQ(next_letter("abcd_abce_abc"), 'e') << "the later of two";
  EXPECT_EQ(next_letter("Xabcd_abce_Xabc"), 'd') << "the longer of two";
  EXPECT_EQ(next_letter("ab_ab"), '-') << "two are chance";
  EXPECT_EQ(next_letter("abc"), '-');
  EXPECT_EQ(next_letter(""), '-');
  EXPECT_EQ(next_letter("aaaa"), 'a') << "a place may reach into the end itself";
}

TEST(GuessesTest, FindsTheSameAsANaiveSearch) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    Text text(1 + random() % 400);
    const auto letters = static_cast<TokenId>(1 + random() % 8);
    for (TokenId& token : text) token = static_cast<TokenId>(random()) & letters;
    if (random() % 2 == 0) {  // a long repetition
      const size_t from = random() % text.size();
      const Text part(text.begin() + static_cast<std::ptrdiff_t>(from), text.end());
      text.insert(text.end(), part.begin(), part.end());
    }
    const auto found = FindEarlier(text);
    const auto naive = text.size() > 3 ? FindEarlierNaively(text) : std::nullopt;
    ASSERT_EQ(found.has_value(), naive.has_value()) << round;
    if (!found) continue;
    ASSERT_EQ(found->next, naive->next) << round;
    ASSERT_EQ(found->length, naive->length);
  }
}

class PredictionCursorTest : public testing::Test {
 protected:
  // What is expected behind this reply, and nothing else may be.
  static std::string Expected(std::string_view prediction, std::string_view reply) {
    const Text predicted = Letters(prediction);
    const Text replied = Letters(reply);
    PredictionCursor cursor(predicted);
    for (size_t i = 0; i <= replied.size(); ++i) cursor.Follow(std::span(replied).first(i));
    const auto rest = cursor.Rest();
    return {rest.begin(), rest.end()};
  }
};

TEST_F(PredictionCursorTest, FollowsLeavesAndComesBack) {
  EXPECT_EQ(Expected("abcdefgh", ""), "abcdefgh");
  EXPECT_EQ(Expected("abcdefgh", "abc"), "defgh");
  EXPECT_EQ(Expected("abcdefgh", "abX"), "");
  EXPECT_EQ(Expected("abcdefgh", "abXd"), "") << "one token is chance";
  EXPECT_EQ(Expected("abcdefgh", "abXde"), "fgh") << "one was replaced";
  EXPECT_EQ(Expected("abcdefgh", "abXYcd"), "efgh") << "two came in";
  EXPECT_EQ(Expected("abcdefgh", "abef"), "gh") << "two were left out";
  EXPECT_EQ(Expected("abcdefgh", "Xabc"), "defgh") << "it begins later";
  EXPECT_EQ(Expected("abcdefgh", "abcdefgh"), "");
  EXPECT_EQ(Expected("abcdefgh", "abcdefghab"), "") << "far back, two are chance";
  EXPECT_EQ(Expected("abcdefgh", "abcdefghabc"), "defgh");
  EXPECT_EQ(Expected("", "abc"), "");
  EXPECT_EQ(Expected("ab1cd ab2cd ab3cd", "ab1cd abX"), "");
  EXPECT_EQ(Expected("ab1cd ab2cd ab3cd", "ab1cd abXcd"), " ab3cd") << "the next of its like";
}

TEST_F(PredictionCursorTest, CountsWhatWasFollowed) {
  const Text predicted = Letters("abcdefghijklmnopqrstuvwxyz");
  const Text reply = Letters("abXdefghijklmnop");
  PredictionCursor cursor(predicted);
  cursor.Follow(std::span(reply).first(2));
  EXPECT_EQ(cursor.followed_tokens(), 2U);
  EXPECT_FALSE(cursor.fresh());
  cursor.Follow(std::span(reply).first(6));
  EXPECT_EQ(cursor.followed_tokens(), 3U) << "f; d and e were not foreseen";
  EXPECT_TRUE(cursor.fresh());
  cursor.Follow(reply);
  EXPECT_EQ(cursor.followed_tokens(), 13U);
  EXPECT_FALSE(cursor.fresh()) << "it has followed for long enough again";
}

TEST(GuessRecordTest, BelievesWhatHasComeTrue) {
  GuessRecord record(4);
  EXPECT_NEAR(record.probability(), 0.8, 1e-12) << "4 tokens on average";
  for (int i = 0; i < 5; ++i) record.Learn(8, false);
  EXPECT_GT(record.probability(), 0.92);
  const double sure = record.probability();
  record.Learn(2, false);
  EXPECT_GE(record.probability(), sure) << "a short guess that held says nothing of longer ones";
  record.Learn(20, true);
  EXPECT_GT(record.probability(), 0.9);
  for (int i = 0; i < 4; ++i) record.Learn(0, true);
  EXPECT_LT(record.probability(), 0.25) << "a text that turns new is noticed within a few steps";
  for (int i = 0; i < 6; ++i) record.Learn(0, true);
  const double hopeless = record.probability();
  EXPECT_LT(hopeless, 0.01);
  int passes = 0;
  while (record.probability() < 0.1) record.Pass(), ++passes;
  EXPECT_GT(passes, 10) << "a row that is a tenth of a step costs a hundredth";
  EXPECT_LT(passes, 50);
}

}  // namespace
}  // namespace reprise

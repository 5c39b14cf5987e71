// Where two prompts diverge: by tokens, by characters, and in which part of the client's request.

#include "history/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "base/limits.h"
#include "fixtures/test_model.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

PastPrompt PromptOf(const std::string& text, const ServedModel& model) {
  PastPrompt prompt;
  prompt.tokens = model.tokenizer->Encode(text, EncodeOptions{});
  return prompt;
}

// Two texts of characters of one to four bytes, against a comparison of code points.
TEST(DivergenceTest, IsTheFirstCharacterThatDiffers) {
  const ServedModel model = TestModel();
  const std::vector<std::string> letters = {
      "a", "hello", " ", "\u00e9", "\u00e8", "\u20ac", "\u20ad", "\U0001F600", "\U0001F601", "\n"};
  std::mt19937 random(11);
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::string> a, b;
    for (size_t n = random() % 60; n > 0; --n) a.push_back(letters[random() % letters.size()]);
    b = a;
    for (auto* text : {&a, &b}) {
      if (!text->empty() && random() % 2 == 0) text->resize(random() % text->size());
      for (size_t n = random() % 5; n > 0; --n) text->push_back(letters[random() % letters.size()]);
    }
    const auto joined = [](const std::vector<std::string>& parts) {
      std::string text;
      for (const std::string& part : parts) text += part;
      return text;
    };
    const std::string text_a = joined(a), text_b = joined(b);
    const PastPrompt past_a = PromptOf(text_a, model), past_b = PromptOf(text_b, model);
    const auto place = FindDivergence({past_a, *model.tokenizer}, {past_b, *model.tokenizer});
    if (text_a == text_b) {
      EXPECT_FALSE(place);
      continue;
    }
    ASSERT_TRUE(place);
    size_t at = 0;  // naive: whole characters that both begin with
    size_t characters = 0;
    for (;;) {
      const auto size_of = [&](const std::string& text) {
        size_t size = at < text.size() ? 1 : 0;
        while (at + size < text.size() && (text[at + size] & 0xC0) == 0x80) ++size;
        return size;
      };
      const size_t size = size_of(text_a);
      if (size == 0 || text_a.substr(at, size) != text_b.substr(at, size_of(text_b))) break;
      at += size;
      ++characters;
    }
    EXPECT_EQ(place->ours.offset, characters) << text_a << " | " << text_b;
    EXPECT_EQ(place->theirs.offset, characters);
    for (const auto& [side, text] : {std::pair(place->ours, text_a), {place->theirs, text_b}}) {
      EXPECT_TRUE(IsValidUtf8(side.excerpt));
      EXPECT_LE(std::ranges::count_if(side.excerpt, [](char c) { return (c & 0xC0) != 0x80; }),
                static_cast<long>(limits::kExcerptCharacters));
      EXPECT_NE(text.find(side.excerpt), std::string::npos);
      EXPECT_EQ(side.excerpt.empty(), at == text.size());
    }
  }
}

TEST(DivergenceTest, APromptOfBrokenCharactersIsShownAsValidText) {
  const ServedModel model = TestModel();
  PastPrompt ours = PromptOf("x\U0001F600\U0001F600\U0001F600", model);
  PastPrompt theirs = ours;
  ours.tokens.resize(3);    // ends within the first
  theirs.tokens.resize(6);  // … the second
  const auto place = FindDivergence({ours, *model.tokenizer}, {theirs, *model.tokenizer});
  ASSERT_TRUE(place);
  EXPECT_TRUE(IsValidUtf8(place->ours.excerpt) && IsValidUtf8(place->theirs.excerpt));
}

TEST(DivergenceTest, TextThatGoesOnIsOfTheSamePart) {
  const ServedModel model = TestModel();
  const auto past = [&](const std::string& said) {
    PastPrompt prompt = PromptOf("[" + said + "]!", model);
    prompt.part_spans = {
        {{PartName::Kind::kMessage, 0}, 1, static_cast<uint32_t>(1 + said.size())}};
    return prompt;
  };
  for (const bool turned : {false, true}) {
    const PastPrompt short_one = past("good"), long_one = past("good day");
    const DecodedPrompt shorter(short_one, *model.tokenizer), longer(long_one, *model.tokenizer);
    const auto place = turned ? FindDivergence(longer, shorter) : FindDivergence(shorter, longer);
    ASSERT_TRUE(place);
    for (const Divergence::Side& side : {place->ours, place->theirs}) {
      EXPECT_EQ(ToText(side.part), "messages[0]");
      EXPECT_EQ(side.offset, 4U);
    }
    EXPECT_EQ(ToText(PartOf(*place)), "messages[0]");
  }
}

}  // namespace
}  // namespace reprise

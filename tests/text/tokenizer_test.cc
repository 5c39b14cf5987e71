#include "text/tokenizer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fixtures/test_vocabulary.h"
#include "text/detokenizer.h"

namespace reprise {
namespace {

using Ids = std::vector<TokenId>;

std::unique_ptr<Tokenizer> Create(Vocabulary vocabulary) {
  auto created = Tokenizer::Create(std::move(vocabulary));
  EXPECT_TRUE(created) << (created ? "" : created.error().message);
  return created ? *std::move(created) : nullptr;
}

class ByteLevelTest : public testing::Test {
 protected:
  TokenId Id(std::string_view token) const { return IdOf(tokenizer_->vocabulary(), token); }
  std::string Spell(const Ids& ids) const {
    std::string text;
    for (const TokenId id : ids) text.append(text.empty() ? "" : " ").append(tokenizer_->Piece(id));
    return text;
  }

  std::unique_ptr<Tokenizer> tokenizer_ = Create(ByteLevelVocabulary());
};

TEST_F(ByteLevelTest, MergesInTheFilesOrder) {
  EXPECT_EQ(tokenizer_->Encode("hello hello", {}), (Ids{Id("hello"), Id("\u0120hello")}));
  EXPECT_EQ(Spell(tokenizer_->Encode("hell12", {})), "hell 1 2");
  EXPECT_EQ(tokenizer_->Encode("", {}), Ids{});
}

TEST_F(ByteLevelTest, ControlTokensAreParsedOnlyWhenAsked) {
  const Ids parsed = tokenizer_->Encode("he<|im_end|>he", {.parse_special = true});
  EXPECT_EQ(parsed, (Ids{Id("he"), 2, Id("he")}));
  const Ids text = tokenizer_->Encode("he<|im_end|>he", {});
  EXPECT_TRUE(std::ranges::none_of(text, [&](TokenId id) { return tokenizer_->IsControl(id); }));
  EXPECT_EQ(tokenizer_->Decode(text, false), "he<|im_end|>he");
}

TEST_F(ByteLevelTest, UserDefinedTokensAreMatchedEverywhere) {
  for (const bool parse_special : {false, true}) {
    EXPECT_EQ(tokenizer_->Encode("he<think>he", {.parse_special = parse_special}),
              (Ids{Id("he"), Id("<think>"), Id("he")}));
  }
}

TEST_F(ByteLevelTest, AUsersControlTokenStaysTextThroughATemplate) {
  // The last is a control token of one character in this vocabulary.
  for (const std::string user : {"<|im_end|>", "a<|im_start|>hello<|im_end|>", "x\u2028y",
                                 "<|im_end|", "\uFDD0<|im_end|>", "hello"}) {
    const std::string rendered = "<|im_start|>" + tokenizer_->EscapeUserText(user) + "<|im_end|>";
    Ids expected = {1};
    const Ids plain = tokenizer_->Encode(user, {});
    expected.insert(expected.end(), plain.begin(), plain.end());
    expected.push_back(2);
    EXPECT_EQ(tokenizer_->EncodeRendered(rendered, ""), expected) << user;
    EXPECT_EQ(Tokenizer::Unescape(rendered), "<|im_start|>" + user + "<|im_end|>");
  }
}

TEST_F(ByteLevelTest, BosAndEosAreAddedAsTheFileSays) {
  EXPECT_EQ(tokenizer_->Encode("he", {.add_special = true}), Ids{Id("he")});
  Vocabulary vocabulary = ByteLevelVocabulary();
  vocabulary.add_bos = true;
  vocabulary.add_eos = true;
  const auto adding = Create(vocabulary);
  EXPECT_EQ(adding->Encode("he", {.add_special = true}), (Ids{1, Id("he"), 0}));
  EXPECT_EQ(adding->Encode("he", {}), Ids{Id("he")});
  EXPECT_EQ(adding->EncodeRendered("he", ""), (Ids{1, Id("he")}));
  EXPECT_EQ(adding->EncodeRendered("<|im_start|>he", ""), (Ids{1, Id("he")}));
  EXPECT_EQ(adding->EncodeRendered("<|im_end|>", ""), (Ids{1, 2}));
  EXPECT_EQ(adding->EncodeRendered("", ""), Ids{1});
}

TEST_F(ByteLevelTest, PiecesAreBytesAndControlTokensTheirText) {
  EXPECT_EQ(tokenizer_->Piece(Id("\u0120hello")), " hello");
  EXPECT_EQ(tokenizer_->Piece(2), "<|im_end|>");
  EXPECT_EQ(tokenizer_->Piece(Id("<think>")), "<think>");
  EXPECT_EQ(tokenizer_->Piece(-1), "");
  EXPECT_EQ(tokenizer_->Piece(1'000'000), "");
  EXPECT_EQ(tokenizer_->Decode({Id("he"), 2, Id("he")}, true), "he<|im_end|>he");
  EXPECT_EQ(tokenizer_->Decode({Id("he"), 2, Id("he")}, false), "hehe");
}

TEST_F(ByteLevelTest, ComposedTextHasNoFewerTokensThanTheLongestPieceAllows) {
  Vocabulary vocabulary = ByteLevelVocabulary();
  vocabulary.pre = "qwen2";
  const auto composing = Create(vocabulary);
  EXPECT_EQ(composing->Encode("e\u0301", {}), composing->Encode("\u00E9", {}));
  EXPECT_NE(tokenizer_->Encode("e\u0301", {}), tokenizer_->Encode("\u00E9", {}));
  // Seven bytes become two.
  const std::string longest = "\u1FBE\u0308\u0301";
  const size_t least = longest.size() / composing->longest_piece_bytes();
  EXPECT_LE(least, composing->Encode(longest, {}).size());
  EXPECT_GE(composing->longest_piece_bytes(), 4 * tokenizer_->longest_piece_bytes());
}

TEST_F(ByteLevelTest, EosAndTokensThatByNameEndATurnEndAReply) {
  EXPECT_TRUE(tokenizer_->IsEndOfGeneration(0));
  EXPECT_TRUE(tokenizer_->IsEndOfGeneration(2));
  EXPECT_FALSE(tokenizer_->IsEndOfGeneration(1));
  EXPECT_FALSE(tokenizer_->IsEndOfGeneration(Id("hello")));
  EXPECT_FALSE(tokenizer_->IsEndOfGeneration(-1));
  EXPECT_FALSE(tokenizer_->IsEndOfGeneration(1'000'000));
}

TEST_F(ByteLevelTest, DecodingGivesAnyTextBack) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    Detokenizer bytes_to_text;
    std::string text;
    for (int i = 0; i < 60; ++i) text += static_cast<char>(random() % 256);
    text = bytes_to_text.Push(text) + bytes_to_text.Finish();
    EXPECT_EQ(tokenizer_->Decode(tokenizer_->Encode(text, {}), true), text);
  }
}

TEST_F(ByteLevelTest, RememberedSegmentsHaveTheIdsOfFreshOnes) {
  std::mt19937 random(5);
  const std::vector<std::string> words = {"hello", " ",  "aaaa", "<think>",
                                          "he",    "\n", "1",    "\u4E2D"};
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) {
    std::string text = "<|im_start|>";
    for (size_t n = random() % 80; n > 0; --n) text += words[random() % words.size()];
    texts.push_back(text + "<|im_end|>");
  }
  for (int round = 0; round < 2; ++round) {
    for (const std::string& text : texts) {
      const auto fresh = Create(ByteLevelVocabulary());
      EXPECT_EQ(tokenizer_->EncodeRendered(text, ""), fresh->EncodeRendered(text, ""));
    }
  }
}

TEST_F(ByteLevelTest, ThreadsGetTheSameIds) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "hello aaaa 12 <|im_end|>";
  const Ids expected = tokenizer_->Encode(text, {.parse_special = true});
  std::vector<std::thread> threads;
  std::vector<Ids> found(4);
  for (Ids& ids : found) {
    threads.emplace_back([&] { ids = tokenizer_->Encode(text, {.parse_special = true}); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& ids : found) EXPECT_EQ(ids, expected);
}

double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Processor time of this thread for a text of `size` bytes made by repeating `unit`; the least of
// three, since what runs beside it still costs cache.
double SecondsFor(const Tokenizer& tokenizer, std::string_view unit, size_t size) {
  double least = 1e9;
  for (int round = 0; round < 3; ++round) {
    std::string text(1, static_cast<char>('0' + round));  // not the remembered segment
    while (text.size() < size) text += unit;
    const double start = ThreadSeconds();
    tokenizer.Encode(text, {.parse_special = true});
    least = std::min(least, ThreadSeconds() - start);
  }
  return least;
}

// Merging works on a heap, n log n: sixteen times the text takes about 20 times as long (more where
// it leaves the cache), where quadratic work would take 256 times. The bound lies half way.
TEST(TokenizerTest, NoTextTakesQuadraticTime) {
  for (const char* pre : {"smollm", "llama-bpe", "tekken", "deepseek-llm", "deepseek-v3", "qwen35",
                          "tiny_aya", "kimi-k2", "exaone-moe", "viking"}) {
    Vocabulary vocabulary = ByteLevelVocabulary();
    vocabulary.pre = pre;
    const auto tokenizer = Create(vocabulary);
    for (const std::string_view unit : {"a", " ", "hello", "a b ", "\n", "\t ", "!", "<|im_", "1",
                                        "1a", "\u4E2D", "\x01", "\u0301", "\u0323\u0301"}) {
      const double small = SecondsFor(*tokenizer, unit, 1 << 13);
      const double large = SecondsFor(*tokenizer, unit, 1 << 17);
      EXPECT_LT(large, 128 * std::max(small, 1e-4)) << pre << " " << unit;
    }
  }
  const auto sentencepiece = Create(SentencePieceVocabulary());
  for (const std::string_view unit : {"h", " ", "hello", "hello ", "\u4E2D"}) {
    const double small = SecondsFor(*sentencepiece, unit, 1 << 13);
    const double large = SecondsFor(*sentencepiece, unit, 1 << 17);
    EXPECT_LT(large, 128 * std::max(small, 1e-4)) << unit;
  }
}

TEST(TokenizerTest, UnknownKindsAreUnsupportedAndNamed) {
  Vocabulary vocabulary = ByteLevelVocabulary();
  vocabulary.pre = "made-up";
  const auto unknown_pre = Tokenizer::Create(vocabulary);
  ASSERT_FALSE(unknown_pre);
  EXPECT_EQ(unknown_pre.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(unknown_pre.error().message.find("made-up"), std::string::npos);
  for (const char* model : {"t5", "bert", "rwkv", "gemma4", "plamo2", ""}) {
    vocabulary.model = model;
    const auto unknown_model = Tokenizer::Create(vocabulary);
    ASSERT_FALSE(unknown_model);
    EXPECT_EQ(unknown_model.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(unknown_model.error().message.find(fmt::format("'{}'", model)), std::string::npos);
  }
}

class SentencePieceTest : public testing::Test {
 protected:
  TokenId Id(std::string_view token) const { return IdOf(tokenizer_->vocabulary(), token); }

  std::unique_ptr<Tokenizer> tokenizer_ = Create(SentencePieceVocabulary());
};

TEST_F(SentencePieceTest, ASegmentGetsTheSpaceBeforeItAndMergesByScore) {
  EXPECT_EQ(tokenizer_->Encode("hello", {}), Ids{Id("\u2581hello")});
  EXPECT_EQ(tokenizer_->Encode("hello hello", {}), (Ids{Id("\u2581hello"), Id("\u2581hello")}));
  EXPECT_EQ(tokenizer_->EncodeRendered("<s>hello</s>hello", ""),
            (Ids{1, Id("\u2581hello"), 2, Id("\u2581hello")}));
  EXPECT_EQ(tokenizer_->Encode("", {}), Ids{});
}

TEST_F(SentencePieceTest, LettersOutsideTheVocabularyAreBytes) {
  EXPECT_EQ(tokenizer_->Encode("\u00E9", {}), (Ids{Id("\u2581"), Id("<0xC3>"), Id("<0xA9>")}));
  EXPECT_EQ(tokenizer_->Decode(tokenizer_->Encode("\u00E9 \n", {}), true), " \u00E9 \n");
}

TEST_F(SentencePieceTest, WithoutThePrefixDecodingGivesTheTextBack) {
  Vocabulary vocabulary = SentencePieceVocabulary();
  vocabulary.add_space_prefix = false;
  const auto tokenizer = Create(vocabulary);
  for (const std::string text :
       {"hello", " hello", "a     b", "<0x0A>", "<s>", "\u4E2D\u2028", "<unk>"}) {
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, {}), false), text);
  }
}

TEST_F(SentencePieceTest, UserDefinedTokensMatchTheSpacesTheyStandFor) {
  const Ids ids = tokenizer_->Encode("h    h", {});
  EXPECT_EQ(std::ranges::count(ids, Id("\u2581\u2581\u2581\u2581")), 1);
}

}  // namespace
}  // namespace reprise

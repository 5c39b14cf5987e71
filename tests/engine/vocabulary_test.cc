#include "engine/vocabulary.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gguf_writer.h"

namespace reprise {
namespace {

// A file with a vocabulary of three tokens and what `more` adds.
template <typename More>
Result<Vocabulary> Read(More more) {
  GgufWriter writer;
  writer.Strings("tokenizer.ggml.tokens", {"a", "b", "ab"});
  more(writer);
  const std::vector<std::byte> bytes = writer.Finish();
  auto file = GgufFile::Parse(bytes);
  EXPECT_TRUE(file);
  return ReadVocabulary(*file);
}

bool AddsBos(const std::string& model, const std::string& pre) {
  return Read([&](GgufWriter& writer) {
           writer.String("tokenizer.ggml.model", model);
           writer.String("tokenizer.ggml.pre", pre);
         })
      .value()
      .add_bos;
}

TEST(ReadVocabulary, AddsABosWhereFilesOfThatKindExpectOne) {
  EXPECT_TRUE(AddsBos("llama", ""));
  EXPECT_TRUE(AddsBos("gpt2", "llama-bpe"));
  EXPECT_TRUE(AddsBos("gpt2", "tekken"));
  EXPECT_TRUE(AddsBos("gpt2", "lfm2"));
  EXPECT_FALSE(AddsBos("gpt2", "smollm"));
  EXPECT_FALSE(AddsBos("gpt2", "smaug-bpe"));
}

TEST(ReadVocabulary, LetsTheFileDecideOnBos) {
  const auto vocabulary = Read([](GgufWriter& writer) {
    writer.String("tokenizer.ggml.model", "llama");
    writer.Bool("tokenizer.ggml.add_bos_token", false);
  });
  EXPECT_FALSE(vocabulary.value().add_bos);
}

TEST(ReadVocabulary, ReadsWhatEndsATurnAndAMessage) {
  const auto vocabulary = Read([](GgufWriter& writer) {
    writer.Uint32("tokenizer.ggml.eos_token_id", 0);
    writer.Uint32("tokenizer.ggml.eot_token_id", 1);
    writer.Uint32("tokenizer.ggml.eom_token_id", 2);
  });
  EXPECT_EQ(vocabulary.value().eos, 0);
  EXPECT_EQ(vocabulary.value().eot, 1);
  EXPECT_EQ(vocabulary.value().eom, 2);
}

TEST(ReadVocabulary, ControlTokensOfPhi3WithSentencePieceTakeTheWhiteSpaceBehindThem) {
  const auto strips = [](const std::string& model, const std::string& architecture) {
    return Read([&](GgufWriter& writer) {
             writer.String("tokenizer.ggml.model", model);
             writer.String("general.architecture", architecture);
           })
        .value()
        .strip_after_control;
  };
  EXPECT_TRUE(strips("llama", "phi3"));
  EXPECT_FALSE(strips("gpt2", "phi3"));  // Phi-4-mini
  EXPECT_FALSE(strips("llama", "llama"));
}

TEST(ReadVocabulary, RefusesASpecialTokenOutsideTheVocabulary) {
  const auto vocabulary =
      Read([](GgufWriter& writer) { writer.Uint32("tokenizer.ggml.eos_token_id", 3); });
  ASSERT_FALSE(vocabulary);
  EXPECT_EQ(vocabulary.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(vocabulary.error().message.find("eos_token_id"), std::string::npos);
}

TEST(ReadVocabulary, TakesMinusOneForNoSuchToken) {
  const auto vocabulary =
      Read([](GgufWriter& writer) { writer.Uint32("tokenizer.ggml.bos_token_id", 0xFFFFFFFF); });
  EXPECT_EQ(vocabulary.value().bos, std::nullopt);
}

TEST(ReadVocabulary, RefusesAnUnknownTokenType) {
  const auto vocabulary = Read([](GgufWriter& writer) {
    writer.Int32s("tokenizer.ggml.token_type", {1, 1, 9});
  });
  ASSERT_FALSE(vocabulary);
  EXPECT_EQ(vocabulary.error().code, ErrorCode::kCorrupt);
}

TEST(ReadVocabulary, SaysThatAFileHasNoTokens) {
  GgufWriter writer;
  writer.String("tokenizer.ggml.model", "gpt2");
  const std::vector<std::byte> bytes = writer.Finish();
  EXPECT_FALSE(ReadVocabulary(GgufFile::Parse(bytes).value()));
}

}  // namespace
}  // namespace reprise

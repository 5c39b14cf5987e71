#include "test_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/check.h"

namespace reprise {
namespace {

void Append(Vocabulary* vocabulary, std::string token, TokenType type, float score = 0) {
  vocabulary->tokens.push_back(std::move(token));
  vocabulary->types.push_back(type);
  if (vocabulary->model == "llama") vocabulary->scores.push_back(score);
}

std::string Utf8Of(int code) {
  std::string text;
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else {
    text += static_cast<char>(0xC0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 0x3F));
  }
  return text;
}

}  // namespace

Vocabulary ByteLevelVocabulary() {
  Vocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  for (const char* control : {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "\u2028"}) {
    Append(&vocabulary, control, TokenType::kControl);
  }
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    Append(&vocabulary, Utf8Of(printable ? byte : next++), TokenType::kNormal);
  }
  for (const auto& [left, right] : {std::pair{"h", "e"},
                                    {"l", "l"},
                                    {"he", "ll"},
                                    {"hell", "o"},
                                    {"\u0120", "\u0120"},
                                    {"\u0120", "hello"},
                                    {"a", "a"},
                                    {"aa", "aa"}}) {
    vocabulary.merges.push_back(fmt::format("{} {}", left, right));
    Append(&vocabulary, fmt::format("{}{}", left, right), TokenType::kNormal);
  }
  Append(&vocabulary, "<think>", TokenType::kUserDefined);
  vocabulary.bos = 1;
  vocabulary.eos = 0;
  return vocabulary;
}

Vocabulary SentencePieceVocabulary() {
  Vocabulary vocabulary;
  vocabulary.model = "llama";
  Append(&vocabulary, "<unk>", TokenType::kUnknown);
  Append(&vocabulary, "<s>", TokenType::kControl);
  Append(&vocabulary, "</s>", TokenType::kControl);
  for (int byte = 0; byte < 256; ++byte) {
    Append(&vocabulary, fmt::format("<0x{:02X}>", byte), TokenType::kByte);
  }
  float score = 0;
  for (const char* piece : {"\u2581h", "el", "lo", "\u2581hel", "\u2581hello", "\u2581\u2581",
                            "\u2581", "h", "e", "l", "o"}) {
    Append(&vocabulary, piece, TokenType::kNormal, score -= 1);
  }
  Append(&vocabulary, "\u2581\u2581\u2581\u2581", TokenType::kUserDefined);
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  vocabulary.unknown = 0;
  vocabulary.add_bos = true;
  return vocabulary;
}

TokenId IdOf(const Vocabulary& vocabulary, std::string_view token) {
  const auto found = std::ranges::find(vocabulary.tokens, token);
  CHECK(found != vocabulary.tokens.end(), "the token is in the vocabulary");
  return static_cast<TokenId>(found - vocabulary.tokens.begin());
}

}  // namespace reprise

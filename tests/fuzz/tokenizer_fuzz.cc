// libFuzzer over the tokenizer: a text becomes tokens and comes back whole, what a user wrote never
// becomes a control token, and a vocabulary of any bytes is an error or a tokenizer.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fixtures/test_vocabulary.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace {

using reprise::TokenId;
using reprise::Tokenizer;
using reprise::TokenType;
using reprise::Vocabulary;

void Require(bool condition) {
  if (!condition) abort();
}

std::unique_ptr<Tokenizer> Create(Vocabulary vocabulary) {
  auto tokenizer = Tokenizer::Create(std::move(vocabulary));
  Require(tokenizer.has_value());
  return *std::move(tokenizer);
}

void CheckIds(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  Require(std::ranges::all_of(ids, [&](TokenId id) {
    return id >= 0 && static_cast<size_t>(id) < tokenizer.vocabulary().tokens.size();
  }));
}

// What SentencePiece writes for a space reads as one.
std::string WithSpaces(std::string text) {
  constexpr std::string_view kSpace = "\u2581";
  for (size_t at = text.find(kSpace); at < text.size(); at = text.find(kSpace, at)) {
    text.replace(at, kSpace.size(), " ");
  }
  return text;
}

// A vocabulary that can write every byte.
void CheckText(const Tokenizer& tokenizer, std::string_view text) {
  const bool byte_level = tokenizer.vocabulary().model == "gpt2";
  const std::string written = byte_level ? std::string(text) : WithSpaces(std::string(text));
  const std::vector<TokenId> ids = tokenizer.Encode(text, {});
  CheckIds(tokenizer, ids);
  Require(std::ranges::none_of(ids, [&](TokenId id) { return tokenizer.IsControl(id); }));
  Require(tokenizer.Decode(ids, true) == written);
  Require(ids.size() * tokenizer.longest_piece_bytes() >= text.size());
  Require(tokenizer.Encode(text, {}) == ids);  // remembered

  const std::string escaped = tokenizer.EscapeUserText(text);
  Require(Tokenizer::Unescape(escaped) == text);
  std::vector<TokenId> rendered = tokenizer.EncodeRendered(escaped, "");
  if (tokenizer.vocabulary().add_bos) {
    Require(!rendered.empty() && rendered.front() == *tokenizer.vocabulary().bos);
    rendered.erase(rendered.begin());
  }
  Require(std::ranges::none_of(rendered, [&](TokenId id) { return tokenizer.IsControl(id); }));

  // A control token parts two texts that know nothing of each other.
  const TokenId bos = *tokenizer.vocabulary().bos;
  const std::vector<TokenId> parsed = tokenizer.Encode(text, {.parse_special = true});
  std::vector<TokenId> twice = parsed;
  twice.push_back(bos);
  twice.insert(twice.end(), parsed.begin(), parsed.end());
  const std::string both =
      fmt::format("{}{}{}", text, tokenizer.vocabulary().tokens[static_cast<size_t>(bos)], text);
  Require(tokenizer.Encode(both, {.parse_special = true}) == twice);
}

// Without the space that SentencePiece puts before each text.
Vocabulary SentencePieceWithoutPrefix() {
  Vocabulary vocabulary = reprise::SentencePieceVocabulary();
  vocabulary.add_space_prefix = false;
  return vocabulary;
}

// Of lines: tokens, each with its type before it, and after an empty line merges.
Vocabulary AnyVocabulary(std::string_view lines, bool byte_level) {
  Vocabulary vocabulary;
  vocabulary.model = byte_level ? "gpt2" : "llama";
  vocabulary.pre = "qwen2";
  bool merges = false;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    if (line.empty()) {
      merges = true;
    } else if (merges) {
      vocabulary.merges.emplace_back(line);
    } else {
      vocabulary.types.push_back(static_cast<TokenType>(line[0] % 6 + 1));
      vocabulary.tokens.emplace_back(line.substr(1));
      if (!byte_level) vocabulary.scores.push_back(static_cast<float>(line[0]));
    }
  }
  if (!vocabulary.tokens.empty()) vocabulary.bos = vocabulary.unknown = 0;
  return vocabulary;
}

void CheckVocabulary(std::string_view bytes, bool byte_level) {
  const size_t middle = bytes.find('\0');
  const std::string_view text = middle == bytes.npos ? "hello" : bytes.substr(middle + 1);
  const auto tokenizer = Tokenizer::Create(AnyVocabulary(bytes.substr(0, middle), byte_level));
  if (!tokenizer) return Require(!tokenizer.error().message.empty());
  if (!reprise::IsValidUtf8(text)) return;
  CheckIds(**tokenizer, (*tokenizer)->Encode(text, {.add_special = true, .parse_special = true}));
  CheckIds(**tokenizer, (*tokenizer)->EncodeRendered((*tokenizer)->EscapeUserText(text), ""));
}

}  // namespace

// The first byte chooses what the rest is.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::array tokenizers = {Create(reprise::ByteLevelVocabulary()),
                                        Create(SentencePieceWithoutPrefix())};
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool byte_level = data[0] % 2 == 0;
  if (data[0] % 4 < 2) {
    CheckVocabulary(rest, byte_level);
  } else if (reprise::IsValidUtf8(rest)) {
    CheckText(*tokenizers[byte_level ? 0 : 1], rest);
  }
  return 0;
}

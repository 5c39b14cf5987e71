#include "history/prompt_text.h"

#include <algorithm>

namespace reprise {

size_t PromptText::TokenAt(size_t at) const {
  const auto end = std::ranges::upper_bound(token_begins.begin() + 1, token_begins.end(), at);
  return static_cast<size_t>(end - token_begins.begin()) - 1;
}

size_t PromptText::CharacterFrom(size_t at) const {
  while (at < bytes.size() && !BeginsCharacter(bytes[at])) ++at;
  return at;
}

PromptText TextOf(const std::vector<TokenId>& tokens, const Tokenizer& tokenizer) {
  PromptText text;
  text.token_begins.reserve(tokens.size() + 1);
  for (const TokenId token : tokens) {
    text.token_begins.push_back(static_cast<uint32_t>(text.bytes.size()));
    text.bytes += tokenizer.Piece(token);
  }
  text.token_begins.push_back(static_cast<uint32_t>(text.bytes.size()));
  return text;
}

size_t CommonBytes(std::string_view a, std::string_view b) {
  const auto ends = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(ends.first - a.begin());
}

}  // namespace reprise

#pragma once

// A prompt's tokens as one text, and the way between its bytes, characters and tokens. Control
// tokens are their text; a character may be split over tokens. Pure functions; any thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "history/history.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace reprise {

struct PromptText {
  std::string bytes;
  std::vector<uint32_t> token_begins;  // [tokens + 1], in bytes; the last is the end

  // The first token that ends behind byte `at`; the number of tokens if none does.
  size_t TokenAt(size_t at) const;
  // The first byte at or behind `at` that begins a character, or the end.
  size_t CharacterFrom(size_t at) const;
};
PromptText TextOf(const std::vector<TokenId>& tokens, const Tokenizer& tokenizer);

// A prompt of the history with its text, decoded once for all that is told of it. No longer than
// the prompt is there.
struct DecodedPrompt {
  DecodedPrompt(const PastPrompt& past, const Tokenizer& tokenizer)
      : prompt(past), text(TextOf(past.tokens, tokenizer)) {}

  const PastPrompt& prompt;
  PromptText text;
};

// The bytes that both begin with; may end inside a character.
size_t CommonBytes(std::string_view a, std::string_view b);

}  // namespace reprise

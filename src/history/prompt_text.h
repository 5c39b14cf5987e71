#pragma once

// A prompt's tokens as one text, and the way between its bytes, characters and tokens. Control
// tokens are their text; a character may be split over tokens. Pure functions; any thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "text/tokenizer.h"

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

// Of UTF-8.
inline bool BeginsCharacter(char byte) { return (byte & 0xC0) != 0x80; }
size_t CountCharacters(std::string_view text);
// The bytes that both begin with; may end inside a character.
size_t CommonBytes(std::string_view a, std::string_view b);

}  // namespace reprise

#pragma once

// The bytes that each token stands for. A vocabulary writes them in its own way: byte-level BPE
// maps each byte to a printable letter (GPT-2), SentencePiece writes a space as U+2581 and single
// bytes as <0x0A>. Immutable; any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "text/tokenizer.h"

namespace reprise {

enum class TokenWriting { kByteLevel, kSentencePiece };

// The bytes of one token.
std::string BytesOfToken(TokenWriting writing, TokenType type, std::string_view token);

// Text with a space wherever SentencePiece would read its mark for one, U+2581.
std::string WithSpaces(std::string_view text);

// All of a vocabulary, in one piece of memory.
class TokenBytes {
 public:
  TokenBytes(TokenWriting writing, const std::vector<std::string>& tokens,
             const std::vector<TokenType>& types);  // types: as many, or none (all normal)

  // Empty for ids outside the vocabulary.
  std::string_view operator[](TokenId token) const;

 private:
  std::string bytes_;
  std::vector<size_t> begin_;  // [tokens + 1]
};

}  // namespace reprise

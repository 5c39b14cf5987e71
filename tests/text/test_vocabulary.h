#pragma once

// Small vocabularies for tests. Byte level: the 256 byte letters, some merges, control tokens and a
// user-defined one. SentencePiece: bytes, letters and a few words with scores.

#include <string_view>

#include "text/tokenizer.h"

namespace reprise {

Vocabulary ByteLevelVocabulary();
Vocabulary SentencePieceVocabulary();

// The id of a token by its writing in the file; CHECKs that there is one.
TokenId IdOf(const Vocabulary& vocabulary, std::string_view token);

}  // namespace reprise

#include "text/vocabulary_hash.h"

#include <bit>
#include <cstdint>

#include "base/sha256.h"

namespace reprise {

std::string VocabularyHash(const Vocabulary& vocabulary) {
  Sha256Hasher hasher;
  hasher.Add(vocabulary.model).Add(vocabulary.pre);
  hasher.Add(uint64_t{vocabulary.tokens.size()});
  for (const std::string& token : vocabulary.tokens) hasher.Add(std::string_view(token));
  hasher.Add(uint64_t{vocabulary.types.size()});
  for (const TokenType type : vocabulary.types) hasher.Add(static_cast<uint64_t>(type));
  hasher.Add(uint64_t{vocabulary.merges.size()});
  for (const std::string& merge : vocabulary.merges) hasher.Add(std::string_view(merge));
  hasher.Add(uint64_t{vocabulary.scores.size()});
  for (const float score : vocabulary.scores) hasher.Add(uint64_t{std::bit_cast<uint32_t>(score)});
  for (const std::optional<TokenId>& token :
       {vocabulary.bos, vocabulary.eos, vocabulary.eot, vocabulary.eom, vocabulary.unknown,
        vocabulary.padding}) {
    hasher.Add(static_cast<uint64_t>(token.value_or(-1)));
  }
  for (const bool flag : {vocabulary.add_bos, vocabulary.add_eos, vocabulary.add_space_prefix,
                          vocabulary.strip_after_control}) {
    hasher.Add(uint64_t{flag});
  }
  return hasher.Finish().Hex();
}

}  // namespace reprise

#pragma once

// Finds tokens that are matched whole: a trie over their bytes, searched from each place where one
// can begin. Search is linear in the text times the length of the longest token that keeps
// matching; a table of first bytes skips the rest at about a byte a cycle. Immutable once filled;
// then any thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace reprise {

class TokenMatcher {
 public:
  struct Match {
    size_t begin;
    size_t size;
    TokenId token;
    size_t end() const { return begin + size; }
  };

  TokenMatcher();

  // REQUIRES: text is not empty.
  void Add(std::string_view text, TokenId token);
  bool empty() const { return nodes_.size() == 1; }

  // The leftmost match that begins at or after `from`; of several there, the longest.
  std::optional<Match> Find(std::string_view text, size_t from) const;

  // How tokens and the text from `at` on agree.
  struct Spelling {
    bool token_of_size = false;  // a token of exactly `size` bytes (see SpelledAt) stands there
    bool longer = false;         // a longer one stands there, or could if the text went on
  };
  Spelling SpelledAt(std::string_view text, size_t at, size_t size) const;

  // The first place at or after `from` where a token can begin; text.size() if none.
  size_t NextCandidate(std::string_view text, size_t from) const;

 private:
  struct Node {
    std::optional<TokenId> token;
    std::vector<std::pair<uint8_t, uint32_t>> children;  // by byte, few each
  };

  uint32_t Child(uint32_t node, char byte) const;  // 0 (the root) if there is none

  std::vector<Node> nodes_;  // [0] is the root
  std::array<bool, 256> can_begin_{};
};

}  // namespace reprise

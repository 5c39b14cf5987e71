#include "text/token_matcher.h"

#include <algorithm>

#include "base/check.h"

namespace reprise {

TokenMatcher::TokenMatcher() : nodes_(1) {}

void TokenMatcher::Add(std::string_view text, TokenId token) {
  CHECK(!text.empty(), "a token that is matched has text");
  can_begin_[static_cast<uint8_t>(text[0])] = true;
  uint32_t node = 0;
  for (const char byte : text) {
    uint32_t child = Child(node, byte);
    if (child == 0) {
      child = static_cast<uint32_t>(nodes_.size());
      nodes_[node].children.emplace_back(static_cast<uint8_t>(byte), child);
      nodes_.emplace_back();
    }
    node = child;
  }
  nodes_[node].token = token;
}

uint32_t TokenMatcher::Child(uint32_t node, char byte) const {
  for (const auto& [key, child] : nodes_[node].children) {
    if (key == static_cast<uint8_t>(byte)) return child;
  }
  return 0;
}

size_t TokenMatcher::NextCandidate(std::string_view text, size_t from) const {
  size_t at = from;
  while (at < text.size() && !can_begin_[static_cast<uint8_t>(text[at])]) ++at;
  return std::min(at, text.size());
}

std::optional<TokenMatcher::Match> TokenMatcher::Find(std::string_view text, size_t from) const {
  for (size_t at = NextCandidate(text, from); at < text.size(); at = NextCandidate(text, at + 1)) {
    std::optional<Match> longest;
    uint32_t node = 0;
    for (size_t i = at; i < text.size(); ++i) {
      node = Child(node, text[i]);
      if (node == 0) break;
      if (nodes_[node].token) longest = Match{at, i + 1 - at, *nodes_[node].token};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

TokenMatcher::Spelling TokenMatcher::SpelledAt(std::string_view text, size_t at,
                                               size_t size) const {
  Spelling spelling;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = Child(node, text[i]);
    if (node == 0) return spelling;
    if (!nodes_[node].token) continue;
    if (i + 1 - at == size) {
      spelling.token_of_size = true;
    } else {
      spelling.longer = true;
    }
  }
  if (!nodes_[node].children.empty()) spelling.longer = true;
  return spelling;
}

}  // namespace reprise

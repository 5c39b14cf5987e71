#pragma once

// Checks a vocabulary and derives from it what byte pair encoding works with: the tokens that plain
// text may yield, and the merges in order. Pure functions; any thread.

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"

namespace reprise {

struct BpeRules {
  struct Merge {
    uint32_t left;
    uint32_t right;
    bool operator==(const Merge&) const = default;
  };

  std::vector<std::string_view> tokens;  // by id, views into the vocabulary; empty: never yielded
  std::vector<Merge> merges;             // the first comes first
};

// Sizes, types, ids, well-formed and distinct tokens; kCorrupt otherwise.
Status CheckVocabulary(const Vocabulary& vocabulary);

// Merges as the file lists them ("gpt2"). kCorrupt if one names, or joins to, what is no token.
// Merges of control tokens are left out: plain text must not yield one.
// REQUIRES: CheckVocabulary passed; so for both.
Result<BpeRules> RulesFromMerges(const Vocabulary& vocabulary);

// SentencePiece BPE ("llama") has scores instead: any two tokens that join to a third may be
// merged, those of the highest score first. Ties are ordered as Hugging Face's conversion orders
// them (longer left side, then longer right side, then lower ids), which is the reference here.
BpeRules RulesFromScores(const Vocabulary& vocabulary);

}  // namespace reprise

#include "text/bpe_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>

#include "base/limits.h"
#include "text/detokenizer.h"
#include "text/utf8.h"

namespace reprise {
namespace {

using Index = std::unordered_map<std::string_view, uint32_t>;

std::unexpected<Error> Corrupt(std::string message) {
  return Fail(ErrorCode::kCorrupt, "tokenizer: " + std::move(message));
}

TokenType TypeOf(const Vocabulary& vocabulary, size_t token) {
  return vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[token];
}

Index IndexOf(const std::vector<std::string>& tokens) {
  Index index;
  index.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) index.emplace(tokens[i], static_cast<uint32_t>(i));
  return index;
}

Status CheckTokens(const Vocabulary& vocabulary) {
  Index seen;
  seen.reserve(vocabulary.tokens.size());
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const std::string& token = vocabulary.tokens[i];
    if (!IsValidUtf8(token)) return Corrupt(fmt::format("token {} is not valid UTF-8", i));
    if (token.empty()) continue;
    const auto [other, is_new] = seen.emplace(token, static_cast<uint32_t>(i));
    if (!is_new) return Corrupt(fmt::format("tokens {} and {} are the same", other->second, i));
  }
  return {};
}

Status CheckSpecialId(std::string_view name, std::optional<TokenId> id, size_t token_count) {
  if (!id || (*id >= 0 && static_cast<size_t>(*id) < token_count)) return {};
  return Corrupt(fmt::format("the {} token {} is not one of {} tokens", name, *id, token_count));
}

// The tokens of those types that plain text may yield.
template <typename Predicate>
std::vector<std::string_view> TokensWhere(const Vocabulary& vocabulary, Predicate may_be_yielded) {
  std::vector<std::string_view> tokens(vocabulary.tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (may_be_yielded(TypeOf(vocabulary, i))) tokens[i] = vocabulary.tokens[i];
  }
  return tokens;
}

}  // namespace

Status CheckVocabulary(const Vocabulary& vocabulary) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0) return Corrupt("the vocabulary is empty");
  if (count > static_cast<size_t>(limits::kMaxVocabulary)) {
    return Corrupt(fmt::format("{} tokens are more than {}", count, limits::kMaxVocabulary));
  }
  if (!vocabulary.types.empty() && vocabulary.types.size() != count) {
    return Corrupt(fmt::format("{} types for {} tokens", vocabulary.types.size(), count));
  }
  for (const TokenType type : vocabulary.types) {
    if (type < TokenType::kNormal || type > TokenType::kByte) {
      return Corrupt(fmt::format("no token type has the number {}", static_cast<int>(type)));
    }
  }
  if (Status tokens = CheckTokens(vocabulary); !tokens) return tokens;
  const std::pair<std::string_view, std::optional<TokenId>> ids[] = {
      {"bos", vocabulary.bos}, {"eos", vocabulary.eos},         {"eot", vocabulary.eot},
      {"eom", vocabulary.eom}, {"unknown", vocabulary.unknown}, {"padding", vocabulary.padding},
  };
  for (const auto& [name, id] : ids) {
    if (Status special = CheckSpecialId(name, id, count); !special) return special;
  }
  if (vocabulary.model != "llama") return {};
  if (vocabulary.scores.size() != count) {
    return Corrupt(fmt::format("{} scores for {} tokens", vocabulary.scores.size(), count));
  }
  if (std::ranges::any_of(vocabulary.scores, [](float score) { return std::isnan(score); })) {
    return Corrupt("a score is not a number");
  }
  return {};
}

Result<BpeRules> RulesFromMerges(const Vocabulary& vocabulary) {
  const Index index = IndexOf(vocabulary.tokens);
  BpeRules rules;
  rules.tokens = TokensWhere(vocabulary, [](TokenType type) {
    return type != TokenType::kControl && type != TokenType::kUnknown;
  });
  rules.merges.reserve(vocabulary.merges.size());
  std::string joined;
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const std::string_view merge = vocabulary.merges[i];
    // Byte-level tokens contain no space, so the first one (but for the first byte) is the
    // separator.
    const size_t space = merge.find(' ', 1);
    if (space == merge.npos || space + 1 == merge.size()) {
      return Corrupt(fmt::format("merge {} is not a pair of tokens", i));
    }
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    const auto left = index.find(merge.substr(0, space));
    const auto right = index.find(merge.substr(space + 1));
    const auto whole = index.find(joined);
    if (left == index.end() || right == index.end() || whole == index.end()) {
      return Corrupt(fmt::format("merge {} names a token that is not in the vocabulary", i));
    }
    const auto yields = [&](uint32_t token) { return !rules.tokens[token].empty(); };
    if (!yields(left->second) || !yields(right->second) || !yields(whole->second)) continue;
    rules.merges.push_back({left->second, right->second});
  }
  return rules;
}

BpeRules RulesFromScores(const Vocabulary& vocabulary) {
  BpeRules rules;
  rules.tokens = TokensWhere(vocabulary, [](TokenType type) {
    return type == TokenType::kNormal || type == TokenType::kByte || type == TokenType::kUnknown;
  });
  // What no token spells becomes this one, also where the file calls it a control token (Gemma).
  if (vocabulary.unknown) {
    const auto unknown = static_cast<size_t>(*vocabulary.unknown);
    rules.tokens[unknown] = vocabulary.tokens[unknown];
  }
  const Index index = IndexOf(vocabulary.tokens);
  const auto normal = [&](std::string_view token) -> std::optional<uint32_t> {
    const auto found = index.find(token);
    if (found == index.end()) return std::nullopt;
    const uint32_t id = found->second;
    return TypeOf(vocabulary, id) == TokenType::kNormal ? std::optional(id) : std::nullopt;
  };

  struct Candidate {
    float score;
    int left_chars, right_chars;
    uint32_t whole;
    BpeRules::Merge merge;
  };
  std::vector<Candidate> candidates;
  for (uint32_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view token = vocabulary.tokens[id];
    if (TypeOf(vocabulary, id) != TokenType::kNormal) continue;
    const auto chars = static_cast<int>(CountCharacters(token));
    int left_chars = 0;
    for (size_t at = 0; at < token.size();) {
      at += FirstUtf8Sequence(token.substr(at)).size;
      ++left_chars;
      const auto left = normal(token.substr(0, at));
      const auto right = normal(token.substr(at));
      if (!left || !right) continue;
      candidates.push_back(
          {vocabulary.scores[id], left_chars, chars - left_chars, id, {*left, *right}});
    }
  }
  const auto order = [](const Candidate& c) {
    return std::tuple(-c.score, -c.left_chars, -c.right_chars, c.whole, c.merge.left,
                      c.merge.right);
  };
  std::ranges::sort(candidates, {}, order);
  rules.merges.reserve(candidates.size());
  for (const Candidate& candidate : candidates) rules.merges.push_back(candidate.merge);
  return rules;
}

}  // namespace reprise

#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/interruption.h"
#include "base/limits.h"
#include "base/trace.h"
#include "text/bpe_rules.h"
#include "text/bridge_call.h"
#include "text/control_escape.h"
#include "text/token_matcher.h"
#include "text/token_memo.h"
#include "text/token_text.h"
#include "text/turn_ends.h"
#include "text/utf8.h"

namespace reprise {
namespace {

// Shorter segments are tokenised in about the time that remembering takes.
constexpr size_t kMinMemoBytes = 64;

// Normal form C is at most so many times shorter than what it stands for (U+0390 for three
// characters of seven bytes).
constexpr size_t kMostBytesPerComposed = 4;

enum class Escapes { kNone, kRemove };

}  // namespace

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  TokenWriting writing;
  TokenBytes bytes;
  TokenMatcher control;
  TokenMatcher user_defined;
  std::vector<bool> ends_generation;
  size_t longest_piece_bytes = 1;
  RepriseBpe* bpe = nullptr;
  mutable TokenMemo memo{limits::kTokenMemoBytes};

  Impl(Vocabulary v, TokenWriting w)
      : vocabulary(std::move(v)), writing(w), bytes(w, vocabulary.tokens, vocabulary.types) {}
  ~Impl() { reprise_bpe_free(bpe); }

  TokenType type(size_t token) const {
    return vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[token];
  }

  Status IndexSpecialTokens();
  Status CreateBpe();

  void AppendBpe(std::string_view text, std::vector<TokenId>* ids) const;
  void AppendBetweenUserDefined(std::string_view text, std::vector<TokenId>* ids) const;
  void AppendSegment(std::string_view text, std::string_view tenant,
                     std::vector<TokenId>* ids) const;
  void AppendParsed(std::string_view text, Escapes escapes, std::string_view tenant,
                    std::vector<TokenId>* ids) const;
};

Status Tokenizer::Impl::IndexSpecialTokens() {
  ends_generation = TokensThatEndATurn(vocabulary);
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const auto token = static_cast<TokenId>(i);
    const std::string_view text = bytes[token];
    longest_piece_bytes = std::max(longest_piece_bytes, text.size());
    if (text.empty()) continue;
    if (type(i) == TokenType::kUserDefined) user_defined.Add(text, token);
    if (type(i) != TokenType::kControl) continue;
    if (text.find(kEscapeMark) != text.npos) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("tokenizer: control token {} contains U+FDD0", i));
    }
    control.Add(text, token);
  }
  return {};
}

Status Tokenizer::Impl::CreateBpe() {
  BpeRules rules;
  if (writing == TokenWriting::kByteLevel) {
    Result<BpeRules> from_merges = RulesFromMerges(vocabulary);
    if (!from_merges) return std::unexpected(from_merges.error());
    rules = *std::move(from_merges);
  } else {
    rules = RulesFromScores(vocabulary);
  }
  std::vector<RepriseView> tokens;
  tokens.reserve(rules.tokens.size());
  for (const std::string_view token : rules.tokens) tokens.push_back(ViewOf(token));
  std::vector<RepriseMerge> merges;
  merges.reserve(rules.merges.size());
  for (const BpeRules::Merge& merge : rules.merges) merges.push_back({merge.left, merge.right});

  const bool byte_level = writing == TokenWriting::kByteLevel;
  const RepriseBpeConfig config = {
      .kind = byte_level ? REPRISE_BPE_BYTE_LEVEL : REPRISE_BPE_SENTENCEPIECE,
      .pre = ViewOf(vocabulary.pre),
      .tokens = tokens.data(),
      .token_count = tokens.size(),
      .merges = merges.data(),
      .merge_count = merges.size(),
      .unknown = byte_level ? -1 : vocabulary.unknown.value_or(-1),
      .prefix_space = vocabulary.add_space_prefix,
  };
  BridgeText error;
  bpe = reprise_bpe_create(&config, error.out());
  if (bpe == nullptr) return Fail(ErrorCode::kCorrupt, "tokenizer: " + error.str());
  if (reprise_bpe_composes(bpe)) longest_piece_bytes *= kMostBytesPerComposed;
  return {};
}

void Tokenizer::Impl::AppendBpe(std::string_view text, std::vector<TokenId>* ids) const {
  if (text.empty()) return;
  BridgeIds found;
  BridgeText error;
  const bool encoded =
      reprise_bpe_encode(bpe, ViewOf(text), IsInterrupted, found.out(), error.out());
  if (!encoded && IsInterrupted()) throw Interrupted();
  CHECK(encoded, "text given to the tokenizer is valid UTF-8");
  ids->insert(ids->end(), found.begin(), found.end());
}

void Tokenizer::Impl::AppendBetweenUserDefined(std::string_view text,
                                               std::vector<TokenId>* ids) const {
  size_t done = 0;
  while (const auto match = user_defined.Find(text, done)) {
    AppendBpe(text.substr(done, match->begin - done), ids);
    ids->push_back(match->token);
    done = match->end();
  }
  AppendBpe(text.substr(done), ids);
}

// Text without control tokens: user-defined tokens, and what is between them.
void Tokenizer::Impl::AppendSegment(std::string_view text, std::string_view tenant,
                                    std::vector<TokenId>* ids) const {
  const bool remember = text.size() >= kMinMemoBytes;
  if (remember && memo.AppendKnown(tenant, text, ids)) return;
  const size_t first = ids->size();
  if (writing == TokenWriting::kSentencePiece && !user_defined.empty()) {
    AppendBetweenUserDefined(WithSpaces(text), ids);
  } else {
    AppendBetweenUserDefined(text, ids);
  }
  if (remember) memo.Remember(tenant, text, ids->data() + first, ids->size() - first);
}

void Tokenizer::Impl::AppendParsed(std::string_view text, Escapes escapes, std::string_view tenant,
                                   std::vector<TokenId>* ids) const {
  const auto append = [&](std::string_view segment) {
    if (escapes == Escapes::kRemove && segment.find(kEscapeMark) != segment.npos) {
      AppendSegment(RemoveEscapes(segment), tenant, ids);
    } else if (!segment.empty()) {
      AppendSegment(segment, tenant, ids);
    }
  };
  size_t done = 0;
  while (true) {
    const auto match =
        escapes == Escapes::kRemove ? FindUnescaped(control, text, done) : control.Find(text, done);
    if (!match) break;
    append(text.substr(done, match->begin - done));
    ids->push_back(match->token);
    done = match->end();
    if (vocabulary.strip_after_control) done += LeadingSpaceBytes(text.substr(done));
  }
  append(text.substr(done));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::Create(Vocabulary vocabulary) {
  const bool byte_level = vocabulary.model == "gpt2";
  if (!byte_level && vocabulary.model != "llama") {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("tokenizer model '{}' is not supported", vocabulary.model));
  }
  if (byte_level && !reprise_bpe_knows_pre(ViewOf(vocabulary.pre))) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("pre-tokenizer '{}' is not supported", vocabulary.pre));
  }
  if (Status checked = CheckVocabulary(vocabulary); !checked) {
    return std::unexpected(checked.error());
  }
  const TokenWriting writing = byte_level ? TokenWriting::kByteLevel : TokenWriting::kSentencePiece;
  auto impl = std::make_unique<Impl>(std::move(vocabulary), writing);
  if (Status indexed = impl->IndexSpecialTokens(); !indexed) {
    return std::unexpected(indexed.error());
  }
  if (Status created = impl->CreateBpe(); !created) {
    return std::unexpected(created.error());
  }
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text, EncodeOptions options) const {
  const Vocabulary& vocabulary = impl_->vocabulary;
  std::vector<TokenId> ids;
  if (options.add_special && vocabulary.add_bos && vocabulary.bos) ids.push_back(*vocabulary.bos);
  if (options.parse_special) {
    impl_->AppendParsed(text, Escapes::kNone, options.tenant, &ids);
  } else if (!text.empty()) {
    impl_->AppendSegment(text, options.tenant, &ids);
  }
  if (options.add_special && vocabulary.add_eos && vocabulary.eos) ids.push_back(*vocabulary.eos);
  return ids;
}

std::vector<TokenId> Tokenizer::EncodeRendered(std::string_view rendered,
                                               std::string_view tenant) const {
  TraceScope trace("tokenise");
  const Vocabulary& vocabulary = impl_->vocabulary;
  std::vector<TokenId> ids;
  if (vocabulary.add_bos && vocabulary.bos) {
    const auto first = FindUnescaped(impl_->control, rendered, 0);
    const bool begins_with_bos = first && first->begin == 0 && first->token == *vocabulary.bos;
    if (!begins_with_bos) ids.push_back(*vocabulary.bos);
  }
  impl_->AppendParsed(rendered, Escapes::kRemove, tenant, &ids);
  return ids;
}

std::string Tokenizer::EscapeUserText(std::string_view text) const {
  return EscapeControl(impl_->control, text);
}

std::string Tokenizer::Unescape(std::string_view rendered) { return RemoveEscapes(rendered); }

std::string_view Tokenizer::Piece(TokenId token) const { return impl_->bytes[token]; }

std::string Tokenizer::Decode(const std::vector<TokenId>& tokens, bool with_control) const {
  std::string text;
  for (const TokenId token : tokens) {
    if (with_control || !IsControl(token)) text += Piece(token);
  }
  return text;
}

size_t Tokenizer::longest_piece_bytes() const { return impl_->longest_piece_bytes; }

const Vocabulary& Tokenizer::vocabulary() const { return impl_->vocabulary; }

bool Tokenizer::IsControl(TokenId token) const {
  if (token < 0 || static_cast<size_t>(token) >= impl_->vocabulary.tokens.size()) return false;
  return impl_->type(static_cast<size_t>(token)) == TokenType::kControl;
}

bool Tokenizer::IsEndOfGeneration(TokenId token) const {
  if (token < 0 || static_cast<size_t>(token) >= impl_->ends_generation.size()) return false;
  return impl_->ends_generation[static_cast<size_t>(token)];
}

}  // namespace reprise

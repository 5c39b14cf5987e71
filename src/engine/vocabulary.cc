#include "engine/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"

namespace reprise {
namespace {

// The array under `key`; nullptr when absent.
template <typename Array>
Result<const Array*> FindArray(const GgufFile& file, std::string_view key) {
  const GgufFile::Value* value = file.Find(key);
  if (value == nullptr) return nullptr;
  const Array* array = std::get_if<Array>(value);
  if (array == nullptr) {
    return Fail(ErrorCode::kCorrupt, fmt::format("GGUF key {} is not an array of its kind", key));
  }
  return array;
}

Result<std::optional<TokenId>> TokenKey(const GgufFile& file, std::string_view key, size_t count) {
  auto value = file.Integer(key);
  if (!value) return std::unexpected(value.error());
  if (!value->has_value()) return std::nullopt;
  // -1 (also as the unsigned 2^32-1) is how files say "none".
  if (**value == -1 || **value == 0xFFFFFFFFLL) return std::nullopt;
  if (**value < 0 || static_cast<uint64_t>(**value) >= count) {
    return Fail(
        ErrorCode::kCorrupt,
        fmt::format("GGUF key {} names token {}, but the vocabulary has {}", key, **value, count));
  }
  return static_cast<TokenId>(**value);
}

Result<bool> FlagKey(const GgufFile& file, std::string_view key, bool fallback) {
  auto value = file.Boolean(key);
  if (!value) return std::unexpected(value.error());
  return value->value_or(fallback);
}

Result<std::string> TextKey(const GgufFile& file, std::string_view key) {
  auto value = file.String(key);
  if (!value) return std::unexpected(value.error());
  return std::string(value->value_or(""));
}

Status ReadTokens(const GgufFile& file, Vocabulary& vocabulary) {
  auto tokens = FindArray<GgufFile::StringArray>(file, "tokenizer.ggml.tokens");
  if (!tokens) return std::unexpected(tokens.error());
  if (*tokens == nullptr || (*tokens)->empty()) {
    return Fail(ErrorCode::kCorrupt, "the GGUF file has no tokenizer.ggml.tokens");
  }
  if ((*tokens)->size() > static_cast<size_t>(limits::kMaxVocabulary)) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("the vocabulary has {} tokens, more than the limit of {}",
                            (*tokens)->size(), limits::kMaxVocabulary));
  }
  vocabulary.tokens.assign((*tokens)->begin(), (*tokens)->end());

  auto types = FindArray<std::vector<int64_t>>(file, "tokenizer.ggml.token_type");
  if (!types) return std::unexpected(types.error());
  if (*types != nullptr) {
    for (int64_t type : **types) {
      if (type < 1 || type > 6) {
        return Fail(ErrorCode::kCorrupt, fmt::format("tokenizer.ggml.token_type holds {}", type));
      }
      vocabulary.types.push_back(static_cast<TokenType>(type));
    }
  }
  auto merges = FindArray<GgufFile::StringArray>(file, "tokenizer.ggml.merges");
  if (!merges) return std::unexpected(merges.error());
  if (*merges != nullptr) vocabulary.merges.assign((*merges)->begin(), (*merges)->end());

  auto scores = FindArray<std::vector<double>>(file, "tokenizer.ggml.scores");
  if (!scores) return std::unexpected(scores.error());
  if (*scores != nullptr) {
    for (double score : **scores) vocabulary.scores.push_back(static_cast<float>(score));
  }
  return {};
}

Status ReadSpecials(const GgufFile& file, Vocabulary& vocabulary) {
  const std::pair<const char*, std::optional<TokenId>*> specials[] = {
      {"tokenizer.ggml.bos_token_id", &vocabulary.bos},
      {"tokenizer.ggml.eos_token_id", &vocabulary.eos},
      {"tokenizer.ggml.eot_token_id", &vocabulary.eot},
      {"tokenizer.ggml.eom_token_id", &vocabulary.eom},
      {"tokenizer.ggml.unknown_token_id", &vocabulary.unknown},
      {"tokenizer.ggml.padding_token_id", &vocabulary.padding},
  };
  for (const auto& [key, slot] : specials) {
    auto token = TokenKey(file, key, vocabulary.tokens.size());
    if (!token) return std::unexpected(token.error());
    *slot = *token;
  }
  // llama.cpp's defaults where the file does not say: a SentencePiece vocabulary and some
  // byte-level ones get a bos, others do not.
  const std::pair<const char*, bool*> flags[] = {
      {"tokenizer.ggml.add_bos_token", &vocabulary.add_bos},
      {"tokenizer.ggml.add_eos_token", &vocabulary.add_eos},
      {"tokenizer.ggml.add_space_prefix", &vocabulary.add_space_prefix},
  };
  constexpr std::string_view kWithBos[] = {"llama-bpe", "llama3",   "llama-v3", "falcon3",
                                           "pixtral",   "midm-2.0", "lfm2",     "tekken"};
  vocabulary.add_bos = vocabulary.model == "llama" ||
                       std::ranges::find(kWithBos, vocabulary.pre) != std::end(kWithBos);
  for (const auto& [key, slot] : flags) {
    auto flag = FlagKey(file, key, *slot);
    if (!flag) return std::unexpected(flag.error());
    *slot = *flag;
  }
  // Phi-3's special tokens take the white space behind them (its tokenizer.json: rstrip). No key of
  // GGUF says so.
  auto architecture = TextKey(file, "general.architecture");
  if (!architecture) return std::unexpected(architecture.error());
  vocabulary.strip_after_control = vocabulary.model == "llama" && *architecture == "phi3";
  return {};
}

}  // namespace

Result<Vocabulary> ReadVocabulary(const GgufFile& file) {
  Vocabulary vocabulary;
  auto model = TextKey(file, "tokenizer.ggml.model");
  if (!model) return std::unexpected(model.error());
  auto pre = TextKey(file, "tokenizer.ggml.pre");
  if (!pre) return std::unexpected(pre.error());
  vocabulary.model = std::move(*model);
  vocabulary.pre = std::move(*pre);
  if (auto read = ReadTokens(file, vocabulary); !read) return std::unexpected(read.error());
  if (auto read = ReadSpecials(file, vocabulary); !read) return std::unexpected(read.error());
  return vocabulary;
}

Result<std::optional<std::string>> ReadChatTemplate(const GgufFile& file) {
  auto source = file.String("tokenizer.chat_template");
  if (!source) return std::unexpected(source.error());
  if (!source->has_value()) return std::nullopt;
  return std::string(**source);
}

}  // namespace reprise

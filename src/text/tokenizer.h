#pragma once

// Text to token ids and back, from the vocabulary of a GGUF file, over the Rust `tokenizers` crate
// (bridge/). Byte-level BPE ("gpt2" with the pre-tokenizer the file names) and SentencePiece BPE
// ("llama").
//
// Text between two control tokens is a segment; a segment's ids do not depend on its neighbours.
// (Where a SentencePiece file asks for a space before the text, each segment gets one, as Hugging
// Face's conversions and llama.cpp do.) Ids of long segments are remembered
// (limits::kTokenMemoBytes), for each tenant apart, so a prompt's unchanged part is not tokenised
// again. Words are remembered within one text only: how long it takes tells nothing of others.
//
// A word (what the pre-tokenizer cuts) of more than 256 KiB is cut into such pieces, since merging
// takes a second per MiB; Hugging Face's tokenizers would merge across the cuts. Long work can be
// interrupted (base/interruption.h).
//
// Thread-safe.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"

namespace reprise {

// tokenizer.ggml.token_type
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // special: only the template may write it
  kUserDefined = 4,  // matched whole wherever it stands, also in a user's text
  kUnused = 5,
  kByte = 6,
};

// What the tokenizer.ggml.* keys say. Filled by the engine layer from the GGUF file.
struct Vocabulary {
  std::string model;  // tokenizer.ggml.model: "gpt2" or "llama"
  std::string pre;    // tokenizer.ggml.pre: "smollm", "llama-bpe", "qwen2", …; may be empty
  std::vector<std::string> tokens;
  std::vector<TokenType> types;     // as many as tokens; may be empty (all normal)
  std::vector<std::string> merges;  // "left right"; gpt2
  std::vector<float> scores;        // llama
  std::optional<TokenId> bos, eos, eot, unknown, padding;
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = true;  // llama
};

struct EncodeOptions {
  bool add_special = false;      // bos / eos as the file says
  bool parse_special = false;    // a control token's text becomes that token; else it stays text
  std::string_view tenant = {};  // whose text it is
};

class Tokenizer {
 public:
  // kUnsupported: unknown tokenizer.ggml.model or pre (the message names it); kCorrupt.
  static Result<std::unique_ptr<Tokenizer>> Create(Vocabulary vocabulary);
  ~Tokenizer();

  // REQUIRES: text is valid UTF-8.
  std::vector<TokenId> Encode(std::string_view text, EncodeOptions options) const;

  // Ids of a rendered chat prompt: control tokens are parsed, except where EscapeUserText hid them,
  // and the escapes are taken out again. Adds bos if the file says so and the text does not begin
  // with it.
  std::vector<TokenId> EncodeRendered(std::string_view rendered, std::string_view tenant) const;

  // Makes user text safe to pass through a chat template: what spells a control token gets an
  // escape that EncodeRendered removes. Text without control tokens comes back unchanged.
  std::string EscapeUserText(std::string_view text) const;
  // Removes the escapes (for showing a rendered prompt).
  static std::string Unescape(std::string_view rendered);

  // The bytes that a token stands for; may be part of a character. Control tokens: their text.
  // Empty for ids outside the vocabulary.
  std::string_view Piece(TokenId token) const;
  // Bytes of many; control tokens are left out unless with_control.
  std::string Decode(const std::vector<TokenId>& tokens, bool with_control) const;

  // No text has fewer tokens than its bytes divided by this.
  size_t longest_piece_bytes() const;
  const Vocabulary& vocabulary() const;
  bool IsControl(TokenId token) const;
  // Ends a reply: eos, eot, and control tokens that by name end a turn (<|im_end|>, <|eot_id|>,
  // <end_of_turn>, …).
  bool IsEndOfGeneration(TokenId token) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise

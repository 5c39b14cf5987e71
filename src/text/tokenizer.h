#pragma once

// Text to token ids and back, from the vocabulary of a GGUF file, over the Rust `tokenizers` crate
// (bridge/). The ids are those of Hugging Face's tokenizer.json, which the model was trained with.
//
// tokenizer.ggml.model "gpt2": byte-level BPE. How words are cut, whether text is brought into
// normal form C first and whether words are looked up whole, tokenizer.ggml.pre says;
// bridge/src/splitter.rs has the table. What families write there:
//
//   qwen2                       Qwen 1.5 to 3 with their mixtures, DeepSeek's distillations of them
//   qwen35                      Qwen 3.5
//   llama-bpe, smaug-bpe        Llama 3; SmolLM3
//   gpt-4o                      gpt-oss, Phi-4-mini, Llama 4 (llama4)
//   tekken, pixtral             Mistral from Nemo on; Nemotron-H
//   dbrx                        OLMo 2 and 3, Granite 4, Phi-4
//   olmo                        OLMo, OLMoE
//   refact                      Granite 3
//   command-r, tiny_aya         Cohere and Cohere2
//   starcoder, smollm           StarCoder2; SmolLM, SmolLM2
//   glm4, chatglm-bpe           GLM-4
//   exaone, exaone4             EXAONE 3, 4
//   lfm2                        LFM2
//   deepseek-llm, -coder, -v3   DeepSeek V2, Coder, V3 (and R1); kimi-k2 in the same architecture
//
// "llama": SentencePiece BPE (Llama 2, Mistral to 0.3, Mixtral, Phi-3, Gemma to 3). Other models
// (t5, bert, rwkv, gemma4, plamo2) and unknown names are refused.
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
  std::optional<TokenId> bos, eos, eot, eom, unknown, padding;
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = true;      // llama
  bool strip_after_control = false;  // white space behind a parsed control token is left out
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

  // No text has fewer tokens than its bytes divided by this (but for white space that
  // strip_after_control leaves out).
  size_t longest_piece_bytes() const;
  const Vocabulary& vocabulary() const;
  bool IsControl(TokenId token) const;
  // Ends a reply: eos, eot, eom, and control tokens that by name end a turn (turn_ends.h).
  bool IsEndOfGeneration(TokenId token) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise

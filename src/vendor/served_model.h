#pragma once

// What reading a call needs of the model that is served: names, texts and bounds. Immutable after
// start; any thread.
//
// Whoever makes prompts alone, without replies, needs no weights for it: the router reads a prompt
// as the server does.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dialect/dialect.h"
#include "prompt/prompt_model.h"
#include "text/grammar.h"
#include "vendor/api_policy.h"

namespace reprise {

class ResponseStore;  // responses/response_store.h

struct ServedModel : PromptModel {
  std::string name;
  bool strict_model = false;  // another name in `model` is a 404
  std::optional<int> default_max_tokens;
  ApiPolicy policy;
  int vocabulary = 0;
  std::string template_hash, vocabulary_hash;       // TemplateHash, VocabularyHash
  Dialect dialect;                                  // how it calls tools and thinks
  std::vector<TokenId> shown_control;               // control tokens that the dialect reads
  std::shared_ptr<ResponseStore> responses;         // null: none is kept
  std::shared_ptr<const GrammarCompiler> grammars;  // null: replies cannot be held to a form
  // Calls are read for their prompts alone: what the reply is to be is checked, but nothing is made
  // of it.
  bool prompts_only = false;
};

struct ModelTexts {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // may be null
  std::string chat_template_source;                   // empty: there is none
  std::string bos_token, eos_token;                   // for the template's context; may be empty
  std::optional<ToolFormat> tool_format;              // none: as the template's words tell
};

// All that follows from the texts. What is the server's, or the weights', is left to be set: names,
// the policy, bounds, stores.
ServedModel DescribeTexts(ModelTexts texts);

// By which two programs tell that they render by the same template: the SHA-256 of its source, in
// hexadecimal; empty where there is none.
std::string TemplateHash(const std::string& source);

}  // namespace reprise

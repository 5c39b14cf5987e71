#pragma once

// What reading a call needs of the model that is served: names, texts and bounds. Immutable after
// start; any thread.

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
  Dialect dialect;                                  // how it calls tools and thinks
  std::vector<TokenId> shown_control;               // control tokens that the dialect reads
  std::shared_ptr<ResponseStore> responses;         // null: none is kept
  std::shared_ptr<const GrammarCompiler> grammars;  // null: replies cannot be held to a form
};

}  // namespace reprise

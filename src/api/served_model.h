#pragma once

// What the api layer knows of the model it serves: names, texts and bounds. Immutable after start;
// any thread.

#include <memory>
#include <optional>
#include <string>

#include "api/api_policy.h"
#include "api/tool_text.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace reprise {

struct ServedModel {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // may be null
  TemplateTraits template_traits;                     // of chat_template
  std::string name;
  std::string bos_token, eos_token;  // texts for the template
  bool strict_model = false;         // another name in `model` is a 404
  std::optional<int> default_max_tokens;
  ApiPolicy policy;
  int vocabulary = 0;
  int max_sequence_tokens = 0;  // longest prompt and reply together
};

}  // namespace reprise

#pragma once

// What making a prompt needs of a model: its tokenizer, its chat template and their texts.
// Immutable after start; any thread.

#include <memory>
#include <string>

#include "prompt/template_traits.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace reprise {

struct PromptModel {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // may be null
  TemplateTraits template_traits;                     // of chat_template
  std::string bos_token, eos_token;                   // texts for the template; may be empty
};

}  // namespace reprise

#pragma once

// What making a prompt needs of a model: its tokenizer, its chat template and their texts.
// Immutable after start; any thread.

#include <memory>
#include <string>
#include <string_view>

#include "prompt/reply_memory.h"
#include "prompt/template_traits.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace reprise {

struct PromptModel {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // may be null
  TemplateTraits template_traits;                     // of chat_template
  std::string bos_token, eos_token;                   // texts for the template; may be empty
  int max_sequence_tokens = 0;                        // longest prompt and reply together
  std::shared_ptr<ReplyMemory> replies;               // may be null: nothing is remembered
};

// How many tokens a text has at least, told by its bytes alone, if those are more than the longest
// sequence; 0: it may fit.
inline size_t LeastTokensBeyond(std::string_view text, const PromptModel& model) {
  const size_t longest = model.tokenizer->longest_piece_bytes();
  const size_t least = (text.size() + longest - 1) / longest;
  return least > static_cast<size_t>(model.max_sequence_tokens) ? least : 0;
}

}  // namespace reprise

#pragma once

// The one form of what both vendors' clients mark: a conversation as its template is told it, and
// places in it up to which the prompt is to be kept. Values.

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "api/prompt_anatomy.h"
#include "base/clock.h"

namespace reprise {

struct CacheMark {
  enum class Place : uint8_t {
    kTool,       // behind tool `index`
    kText,       // in message `index`, behind `offset` bytes of its content
    kToolCall,   // in message `index`, behind call `offset`
    kPromptEnd,  // behind everything
  };
  Place place = Place::kPromptEnd;
  size_t index = 0;
  size_t offset = 0;
  Duration ttl{};

  bool operator==(const CacheMark&) const = default;
};

struct ChatPrompt {
  // The template's context: messages, tools, add_generation_prompt, … Texts are escaped
  // (Tokenizer::EscapeUserText). A message's content is a string.
  boost::json::object context;
  std::vector<CacheMark> marks;  // in the order of the conversation
  PromptAnatomy anatomy;
  // The last message is the beginning of the reply, which goes on where its text ends.
  bool continues_reply = false;
};

}  // namespace reprise

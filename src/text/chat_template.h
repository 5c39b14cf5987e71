#pragma once

// The chat template of a GGUF file, rendered with minijinja (bridge/) under Hugging Face's
// settings: trim_blocks, lstrip_blocks, loop controls, Python string methods, raise_exception,
// strftime_now, tojson that does not escape HTML. Immutable after Create; thread-safe.

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace reprise {

class ChatTemplate {
 public:
  // kInvalidArgument with line and reason when the template does not parse.
  static Result<std::unique_ptr<ChatTemplate>> Create(std::string_view source);
  ~ChatTemplate();

  // context_json: an object with messages, add_generation_prompt, bos_token, eos_token, tools, …;
  // key order is kept. Errors of the template (raise_exception, undefined operations) are
  // kInvalidArgument with the template's own sentence. Bounded in work: an endless template is an
  // error.
  Result<std::string> Render(std::string_view context_json) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise

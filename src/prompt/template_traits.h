#pragma once

// What a chat template shows of tools by itself. Pure functions; any thread.

#include <string>

#include "text/chat_template.h"

namespace reprise {

struct TemplateTraits {
  bool tools = true;       // definitions
  bool tool_calls = true;  // of the assistant
  bool tool_role = true;   // results, as messages of role "tool"
  // An assistant's content stands in the prompt as it would have been generated there, also before
  // a result: so what the model wrote can be given back as content, calls and all.
  bool content_as_written = true;
  bool nine_letter_ids = false;  // it refuses other ids of calls

  bool operator==(const TemplateTraits&) const = default;
};

// Found out by rendering a few messages.
TemplateTraits DetectTraits(const ChatTemplate& chat_template, const std::string& bos_token,
                            const std::string& eos_token);

}  // namespace reprise

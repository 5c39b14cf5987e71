#pragma once

// What a chat template shows of tools by itself. Pure functions; any thread.

#include <string>

#include "text/chat_template.h"

namespace reprise {

struct TemplateTraits {
  bool tools = true;       // definitions
  bool tool_calls = true;  // of the assistant
  bool tool_role = true;   // results, as messages of role "tool"

  bool operator==(const TemplateTraits&) const = default;
};

// Found out by rendering a few messages.
TemplateTraits DetectTraits(const ChatTemplate& chat_template, const std::string& bos_token,
                            const std::string& eos_token);

}  // namespace reprise

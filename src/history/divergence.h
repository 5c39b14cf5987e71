#pragma once

// Where two prompts diverge: the part of the conversation, and the text on either side. Pure
// functions; any thread.

#include <cstddef>
#include <optional>
#include <string>

#include "history/prompt_text.h"
#include "prompt/prompt_parts.h"

namespace reprise {

// By characters: also inside a token that differs.
struct Divergence {
  struct Side {
    PartName part;
    size_t offset = 0;    // in characters of the part's text; 0 in the template's words before it
    std::string excerpt;  // around the place, whole characters; empty if the prompt ends there
  };
  size_t token = 0;
  size_t at = 0;         // the character's first byte, in the texts of both prompts
  size_t character = 0;  // … its number
  Side ours;
  Side theirs;
};
// nullopt if they are equal.
std::optional<Divergence> FindDivergence(const DecodedPrompt& our_prompt,
                                         const DecodedPrompt& their_prompt);
// The part alone, as it is called on the side that says more there.
PartName PartOf(const Divergence& place);

}  // namespace reprise

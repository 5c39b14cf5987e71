#pragma once

// The parts of a past prompt, its text, and the place where it and another one part, as
// GET /cache/requests/{id} shows them (docs/api.md). Pure.

#include <boost/json.hpp>
#include <cstddef>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "history/divergence.h"
#include "history/prompt_change.h"
#include "history/prompt_text.h"

namespace reprise {

// What of the prompts' texts is asked for.
struct WantedText {
  size_t prompt = 0;  // the first; of the further ones all
  size_t from = 0;    // in the first, its first token
  // Bounds a reply: limits::kMaxShownTokens less what was shown of it so far.
  size_t tokens_left = 0;
};
// From "text=true&prompt=1&from=5000"; nullopt without text=true.
Result<std::optional<WantedText>> ReadWantedText(std::string_view query);

// Where each part begins, the template's words before it included; the first of them only.
boost::json::array ShowParts(const DecodedPrompt& decoded);

// Adds "text" and "text_next" of prompt `index`, nothing of one before the first that is asked for.
void AddText(const DecodedPrompt& decoded, size_t index, WantedText& wanted,
             boost::json::object& into);

// `change` is FindChange(ours, theirs, place): it says where what differs ends.
boost::json::object ShowDifference(const PromptText& ours, const PromptText& theirs,
                                   const Divergence& place, const PromptChange& change);

}  // namespace reprise

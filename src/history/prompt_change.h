#pragma once

// What changed from an earlier prompt to this one, part by part, and how much that moved out of
// reach: text that both have, unchanged, behind the change, so that the cache could not read it.
// Pure functions; any thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "history/changed_value.h"
#include "history/divergence.h"
#include "prompt/prompt_parts.h"

namespace reprise {

struct PromptChange {
  enum class Kind : uint8_t {
    kGoesOn,          // behind what is shared this prompt is new, and nothing of the other returns
    kValue,           // a short value in a part; `value`, `now`, `before`
    kEdited,          // a part's text, in the middle or as a whole; what follows is the same
    kTemplate,        // the words that the model's template writes itself
    kToolsChanged,    // one or more of them
    kToolsReordered,  // the same ones
    kToolsAdded,      // the other's are all there, in their order
    kToolsRemoved,
    kMessagesCut,  // the oldest were left out, the later ones are the same: a sliding window
    kMessagesPut,  // some stand where the other's go on
  };
  Kind kind = Kind::kGoesOn;
  PartName part;  // where it begins
  // The system text, also where it is sent as a message.
  bool in_system = false;
  size_t count = 0;  // of parts left out, put in
  ValueKind value = ValueKind::kWords;
  std::string now, before;  // the value
  // In bytes of the prompts' texts: what differs is [begin, end) of each, as far as it is known to
  // end; of kGoesOn all that follows.
  size_t begin = 0;
  size_t our_end = 0;
  size_t their_end = 0;
  // Tokens of this prompt that were computed although the other has the same text, without a gap
  // from our_end, or from where the parts are the same again.
  size_t moved_tokens = 0;
};

// REQUIRES: `place` is FindDivergence(ours, theirs).
PromptChange FindChange(const DecodedPrompt& ours, const DecodedPrompt& theirs,
                        const Divergence& place);

}  // namespace reprise

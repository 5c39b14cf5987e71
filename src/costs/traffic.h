#pragma once

// A tenant's requests as what vendors' rules look at: when each came, which prefixes it shares with
// others, where its parts end and where its client marked it. Made once, then played under any
// rules (mark_player.h, placing.h). Values; any thread.
//
// A part (a tool, the system text, a message) stands for what vendors call a block: the history
// knows no finer ones, but a client's mark ends a block wherever it stands. Each choice-bearing
// prompt counts once, as all vendors bill it. Prompts are taken as they were rendered here, and
// tokens as this model counts them.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"
#include "costs/prefix_paths.h"
#include "history/history.h"
#include "prompt/prompt_parts.h"
#include "text/tokenizer.h"

namespace reprise {

struct PartEnd {
  PartName name;
  size_t tokens = 0;  // from the prompt's beginning to the end of its text
};

// A prompt as it was sent.
struct SentPrompt {
  int64_t time_ms = 0;  // from any beginning
  std::vector<TokenId> tokens = {};
  std::vector<PartEnd> parts = {};     // ascending; none known: the prompt is one part
  std::vector<Breakpoint> marks = {};  // ascending
};

// A prefix at which an entry of a cache may end.
struct Place {
  size_t tokens = 0;
  uint32_t prefix = 0;     // equal for equal prefixes, below Traffic::prefixes
  bool ends_block = true;  // of this prompt; else a mark of another one stood here
};

struct TrafficPrompt {
  int64_t time_ms = 0;
  size_t tokens = 0;
  std::vector<PrefixPaths::Step> path;
  std::vector<Place> places;  // ascending
  struct Part {
    PartName name;
    size_t place = 0;  // its end's
  };
  std::vector<Part> parts;  // at least one
  struct Mark {
    size_t place = 0;
    int64_t seconds = 0;
  };
  std::vector<Mark> marks;
  size_t family = 0;  // prompts of different families share no place
};

struct Traffic {
  std::vector<TrafficPrompt> prompts = {};  // by time
  size_t prefixes = 0;
  size_t nodes = 0;
  size_t families = 0;
};

// Prompts without a token are left out.
Traffic TrafficOf(std::vector<SentPrompt> prompts);

// The tokens that hold all of a part's text and nothing behind it; parts that end with the same
// token as the one before them, or where the template wrote nothing, are left out.
std::vector<PartEnd> PartEndsOf(std::span<const TokenId> tokens,
                                std::span<const PartSpan> part_spans, const Tokenizer& tokenizer);

}  // namespace reprise

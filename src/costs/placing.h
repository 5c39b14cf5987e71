#pragma once

// The cheapest placing of marks for a tenant's traffic, by a sheet's prices and rules.
//
// What is searched: a placing is at most `marks` spots that a client's program can name (behind the
// tools, behind the system text, behind the first or second message, behind the last, the last but
// one or two), each with one of the vendor's lifetimes, longer ones first, the same for all
// requests of a family. Families share no prefix (Traffic), so what one of them pays depends on no
// other, and the sum of their cheapest is the cheapest. All placings of each family are played:
// within these spots the answer is exact. A program that placed marks by what it knows of the
// future, or in the middle of a part, might pay less.
//
// Bounded: at most 393 placings for two lifetimes, each of them one MarkPlayer::Play a prompt,
// which looks at `lookback` places a mark. Gives up with Interrupted (base/interruption.h).

#include <cstddef>
#include <string>
#include <vector>

#include "costs/mark_player.h"
#include "costs/price_sheet.h"
#include "costs/traffic.h"

namespace reprise {

// A mark as a client's program would set it.
struct SpotMark {
  std::string spot;  // "tools", "system", "messages[0]", "messages[-1]" (the last), "prompt"
  size_t lifetime = 0;

  bool operator==(const SpotMark&) const = default;
};

struct Placing {
  std::vector<SpotMark> marks =
      {};                    // in the prompts' order; none: caching costs more than it saves
  size_t requests = 0;       // that it is for
  PromptTokens tokens = {};  // of these, so placed
};

// For each of `sheets`, which must agree in SameCaching: its placings, the one of the most tokens
// first; families with the same marks are one.
std::vector<std::vector<Placing>> CheapestPlacings(const Traffic& traffic,
                                                   const std::vector<const PriceSheet*>& sheets);

}  // namespace reprise

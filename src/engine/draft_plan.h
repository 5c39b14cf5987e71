#pragma once

// How many guessed rows each stream of a step gets. Pure; any thread.

#include <cstddef>
#include <span>
#include <vector>

#include "engine/row_price.h"

namespace reprise {

// One stream of a step, and the guess that there is at what follows.
struct DraftCandidate {
  double probability = 0;  // that its next token comes true, given that those before it did
  size_t most = 0;         // tokens guessed; 0: nothing
};

// Guessed rows for each candidate: as many as bring the most tokens a second in all. With p the
// probability, k rows bring 1 + p + p² + … + pᵏ tokens on average.
//
// Streams share a step, so one's guesses make the others wait: none gets less than four fifths of
// the tokens a second that it would have without any guesses. At most `room` rows beside the
// `rows` that the step has anyway, and (unless those take longer by themselves) the step is not to
// cost more than `most_price` (RowPrice::Of).
std::vector<size_t> ChooseDrafts(std::span<const DraftCandidate> candidates, size_t rows,
                                 size_t room, const RowPrice& price, double most_price);

}  // namespace reprise

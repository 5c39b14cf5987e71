#pragma once

// Which tokens end a model's turn. Files name one or two (eos, eot, eom), and not always those that
// the chat template writes; the rest is known by name. Pure function; any thread.

#include <vector>

#include "text/tokenizer.h"

namespace reprise {

// By token id. Only control tokens are known by name.
// REQUIRES: CheckVocabulary passed.
std::vector<bool> TokensThatEndATurn(const Vocabulary& vocabulary);

}  // namespace reprise

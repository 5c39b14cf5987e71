#pragma once

// Sentences about what changed in a prompt, and the words that they share with advice.cc. Pure.

#include <chrono>
#include <cstddef>
#include <string>

#include "history/advice.h"
#include "history/prompt_change.h"

namespace reprise {

std::string TokensInWords(size_t tokens);                        // "1 token", "1,420 tokens"
std::string DurationInWords(std::chrono::nanoseconds duration);  // "5 minutes", "1 hour"

// REQUIRES: the change is not kGoesOn.
Explanation ExplainChange(const PromptChange& change);

}  // namespace reprise

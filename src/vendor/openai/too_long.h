#pragma once

// How OpenAI says that a prompt is too long. Pure; any thread.

#include <cstddef>
#include <string>

namespace reprise {

// For PromptWords (vendor/call.h).
std::string TooLongForOpenAi(size_t tokens, size_t longest, int context);

}  // namespace reprise

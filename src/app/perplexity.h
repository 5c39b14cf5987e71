#pragma once

// `reprise perplexity`: how surprised a model is by a text. The text's tokens are cut into windows
// of 512, each computed on its own; the tokens from the second half of each window on are scored
// with all of the window before them as context. The convention of llama.cpp's tool of the same
// name, so that the figures can be compared: 255 tokens scored a window, a last window that is not
// full left out.

#include <string>

#include "app/load.h"

namespace reprise {

struct PerplexityOptions {
  ModelOptions model;
  std::string file;
  int windows = 0;  // stop after so many; 0: all
};

// Says on standard error how far it is, prints one line on standard output. Returns the exit code.
int RunPerplexity(const PerplexityOptions& options);

}  // namespace reprise

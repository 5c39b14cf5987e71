#pragma once

// `reprise inspect`: what a GGUF file holds, as two tables, metadata and tensors; then what the
// model is and which memory it needs here. Reads the header alone. Works on every readable GGUF
// file, also on models that cannot be served, and says why they cannot.

#include <string>

namespace reprise {

struct InspectOptions {
  std::string model;
  int context = 0;  // whose memory is told; 0: what the model was trained for
  int block_tokens = 32;
};

// Prints on standard output. Returns the exit code.
int RunInspect(const InspectOptions& options);

}  // namespace reprise

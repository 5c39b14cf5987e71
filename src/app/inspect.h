#pragma once

// `reprise inspect`: what a GGUF file holds, as two tables: metadata and tensors. Works on every
// readable GGUF file, also on models that cannot be served.

#include <string>

namespace reprise {

struct InspectOptions {
  std::string model;
};

// Prints on standard output. Returns the exit code.
int RunInspect(const InspectOptions& options);

}  // namespace reprise

#pragma once

// `reprise pull`: a model from the Hugging Face Hub, by its name, into the folder that the hub's
// own tools use.

#include <string>

#include "base/error.h"
#include "hub/pull.h"

namespace reprise {

struct PullCommand {
  std::string model;  // hf:ORG/REPO[@REVISION][:FILE-or-QUANT]
};

// Progress on standard error, the file's path on standard output. Returns the exit code.
int RunPull(const PullCommand& command);

// With the environment's settings and progress on standard error. SIGINT and SIGTERM end it
// (kCancelled), a second one the process; what was fetched stays for the next time.
Result<PulledModel> PullFromHub(const std::string& model, PullOptions::Prefer prefer);

}  // namespace reprise

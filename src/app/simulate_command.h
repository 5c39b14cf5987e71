#pragma once

// `reprise simulate`: how a fleet of replicas would serve a recorded trace, and how much better or
// worse other ways to send requests would do. Needs no model.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fleet/decision.h"

namespace CLI {
class App;
}

namespace reprise {

struct SimulateOptions {
  std::string trace;
  std::vector<size_t> replicas = {4};
  std::vector<std::string> policies = {"route"};
  size_t memory_tokens = 0;    // of each replica; 0: by memory_share
  double memory_share = 0.25;  // of the trace's footprint, of all together
  size_t disk_tokens = 0;      // of each replica
  double prompt_pace = 5000;   // tokens a second
  double keys_per_token = 30'000;
  double stream_pace = 33;  // of one reply
  double disk_pace = 50'000;
  double utilisation = 0.6;  // 0: by speed_up
  double speed_up = 1;
  size_t repeat = 1;
  size_t requests = 0;
  uint64_t seed = 1;
  DecisionWeights weights = {};  // of policy route
  bool json = false;
};

CLI::App& AddSimulate(CLI::App& app, SimulateOptions& options);

// Prints a table, or JSON, to the standard output and its progress to a terminal; the process's
// exit status.
int RunSimulate(const SimulateOptions& options);

}  // namespace reprise

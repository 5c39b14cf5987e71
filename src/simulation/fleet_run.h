#pragma once

// A fleet of replicas that serves a trace under a simulated clock, and what came of it.
// Deterministic: the same options, the same result. Not thread-safe.

#include <cstdint>
#include <functional>
#include <vector>

#include "simulation/pace.h"
#include "simulation/policy.h"
#include "simulation/trace.h"

namespace reprise {

struct FleetOptions {
  PolicyKind policy = PolicyKind::kRoute;
  size_t replicas = 4;
  size_t memory_tokens = 0;  // of each replica
  size_t disk_tokens = 0;    // of each replica; 0: it has none
  SimulatedPace pace = {};
  double time_scale = 1;  // the trace's times are multiplied by it
  uint64_t seed = 1;
  DecisionWeights weights = {};  // of `route`
  // Called now and then with the share of requests that are done; false: stop.
  std::function<bool(double)> progress = {};
};

struct FleetResult {
  bool stopped = false;
  size_t requests = 0;
  size_t refused = 0;  // longer than a replica's memory
  size_t prompt_tokens = 0;
  size_t read_tokens = 0;                           // from memory
  size_t loaded_tokens = 0;                         // from disk
  double first_token_p50 = 0, first_token_p99 = 0;  // seconds
  double simulated_seconds = 0;
  std::vector<double> busy_seconds;  // of each replica: prompts computed, and its part of replies
  double largest_request_seconds = 0;
  std::vector<size_t> order;  // of the requests that were served, as they came

  size_t computed_tokens() const { return prompt_tokens - read_tokens - loaded_tokens; }
  double hit_rate() const;
  double mean_busy_seconds() const;
  // Below this no imbalance can be: the request with the most work, which is one replica's, ÷ the
  // mean of busy seconds.
  double least_imbalance() const;
  double imbalance() const;    // the most busy seconds of a replica ÷ their mean
  double utilisation() const;  // mean busy seconds ÷ simulated seconds
};

// Of one machine that keeps what all replicas of the fleet keep.
size_t IdealBlocks(const Trace& trace, const FleetOptions& options);

FleetResult RunFleet(const Trace& trace, const FleetOptions& options);

// By what the trace's times are to be multiplied so that a fleet that reads as much as one machine
// with all its memory is busy for this part of the time.
double ScaleForUtilisation(const Trace& trace, const FleetOptions& options, double utilisation);

}  // namespace reprise

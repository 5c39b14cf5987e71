#pragma once

// What a router counts of the requests that it has passed on. I/O thread only.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "fleet/decision.h"
#include "metrics/histogram.h"

namespace reprise {

class RouterService;

struct RouterMetrics {
  RouterMetrics();

  std::map<std::pair<std::string, int>, uint64_t> requests;  // by route and status
  std::map<std::string_view, uint64_t> decisions;            // by reason
  uint64_t retries = 0;                           // asked elsewhere, before anything was passed on
  uint64_t broken_replies = 0;                    // that ended after their first byte
  uint64_t queued = 0;                            // requests that had to wait for a replica
  uint64_t refused = 0;                           // of those, that waited in vain or found no room
  uint64_t unread = 0;                            // prompts that the router could not read
  uint64_t expected_tokens = 0, read_tokens = 0;  // from caches, where both are known
  uint64_t prompt_tokens = 0;                     // of the same requests
  Histogram overhead_seconds;  // from a whole request to its being sent, waiting left out
  Histogram queue_seconds;     // of those that waited
  Histogram decision_seconds;
};

// "held", "spread", …
std::string_view NameOf(DecisionReason reason);

// Most busy by mean; 0 while nobody was busy.
double Imbalance(const RouterService& service);

// Prometheus' text.
std::string MetricsPage(const RouterService& service);

}  // namespace reprise

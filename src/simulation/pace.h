#pragma once

// How fast a simulated replica is: what `reprise serve` measures of itself, given by hand.

#include <cstddef>

namespace reprise {

struct SimulatedPace {
  double seconds_per_token = 1.0 / 5000;   // of a prompt
  double keys_per_token = 30'000;          // keys whose attention costs as much as a token
  double stream_seconds_per_token = 0.03;  // of a reply; a token of it costs one of a prompt
  double disk_seconds_per_token = 1.0 / 50'000;

  double seconds_per_token_and_key() const { return seconds_per_token / keys_per_token; }
  // Of tokens first .. end-1 of a prompt.
  double ComputeSeconds(double first, double end) const {
    return seconds_per_token * (end - first + (end * end - first * first) / 2 / keys_per_token);
  }
};

}  // namespace reprise

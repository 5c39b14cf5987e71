#pragma once

// What one machine with all the memory reads of a trace: the same cache, each request done before
// the next one comes. Nothing that divides the memory can be expected to read more, but by chance.

#include "simulation/pace.h"
#include "simulation/trace.h"

namespace reprise {

struct IdealResult {
  size_t prompt_tokens = 0;
  size_t read_tokens = 0;
  double busy_seconds = 0;
  double hit_rate() const {
    return prompt_tokens == 0
               ? 0
               : static_cast<double>(read_tokens) / static_cast<double>(prompt_tokens);
  }
};

// memory_blocks of the trace's; 0: endless. `order`: requests as they came.
IdealResult PlayIdeal(const Trace& trace, size_t memory_blocks, const std::vector<size_t>& order,
                      const SimulatedPace& pace);

}  // namespace reprise

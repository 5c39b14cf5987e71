#pragma once

// How long a step's prompt rows take, learnt from the steps before, so that a step beside streams
// can be cut to fit the pause that they may see. Time decides how prompts are cut, never a result.
//
// Cost is counted in rows of products: a row costs 1, and `cost_per_key` more for each key that it
// attends to. A plain value; the engine thread's.

#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace reprise {

class StepPace {
 public:
  explicit StepPace(double cost_per_key) : cost_per_key_(cost_per_key) {}

  // Of rows first_position .. first_position + rows - 1 of a sequence.
  double Cost(size_t rows, size_t first_position) const;
  // The most rows from first_position on that cost no more than `cost`, which may be infinite.
  size_t RowsWithin(double cost, size_t first_position) const;

  // A step with prompt rows of this cost took so long, whatever else was in it.
  void Observe(double cost, Duration took);
  // Of large steps alone: what a long prompt costs, without what every step takes besides. nullopt
  // while none was observed.
  std::optional<double> bulk_seconds_per_cost() const;
  // That of large steps where there were any, else that of all; 0 while nothing was observed.
  double believed_seconds_per_cost() const;
  double cost_per_key() const { return cost_per_key_; }
  // What a step may cost to take so long; nullopt while nothing was observed.
  std::optional<double> CostWithin(Duration pause) const;

 private:
  double cost_per_key_;
  double seconds_per_cost_ = 0;       // 0: nothing observed
  double bulk_seconds_per_cost_ = 0;  // 0: no large step was observed
};

}  // namespace reprise

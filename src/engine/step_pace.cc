#include "engine/step_pace.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace reprise {
namespace {

// Smaller steps measure what every step takes, not what a row does.
constexpr double kLeastObserved = 16;

// From here on what every step takes does not count.
constexpr double kBulk = 128;

// Of an observation, in what is believed next: a machine that slows down is followed within a few
// steps, one slow step does not halve the next.
constexpr double kWeight = 0.25;

}  // namespace

// Row i attends to first_position + i + 1 keys.
double StepPace::Cost(size_t rows, size_t first_position) const {
  const auto n = static_cast<double>(rows);
  return n + cost_per_key_ * n * (static_cast<double>(first_position) + (n + 1) / 2);
}

// The root of Cost(n) = cost, a n² + b n = cost; rounding must not lose a row that just fits.
size_t StepPace::RowsWithin(double cost, size_t first_position) const {
  if (cost <= 0) return 0;
  if (std::isinf(cost)) return std::numeric_limits<size_t>::max();
  const double a = cost_per_key_ / 2;
  const double b = 1 + cost_per_key_ * (static_cast<double>(first_position) + 0.5);
  const double n = 2 * cost / (b + std::sqrt(b * b + 4 * a * cost));
  const auto rows = static_cast<size_t>(n);
  return Cost(rows + 1, first_position) <= cost ? rows + 1 : rows;
}

void StepPace::Observe(double cost, Duration took) {
  if (cost < kLeastObserved || took <= Duration::zero()) return;
  const double seen = std::chrono::duration<double>(took).count() / cost;
  const auto learn = [seen](double& believed) {
    believed = believed == 0 ? seen : believed + kWeight * (seen - believed);
  };
  learn(seconds_per_cost_);
  if (cost >= kBulk) learn(bulk_seconds_per_cost_);
}

std::optional<double> StepPace::bulk_seconds_per_cost() const {
  if (bulk_seconds_per_cost_ == 0) return std::nullopt;
  return bulk_seconds_per_cost_;
}

double StepPace::believed_seconds_per_cost() const {
  return bulk_seconds_per_cost_ > 0 ? bulk_seconds_per_cost_ : seconds_per_cost_;
}

std::optional<double> StepPace::CostWithin(Duration pause) const {
  if (seconds_per_cost_ == 0) return std::nullopt;
  return std::chrono::duration<double>(pause).count() / seconds_per_cost_;
}

}  // namespace reprise

#pragma once

// What a step of several rows costs beside one of one row, learnt from the steps before: rows share
// the reading of the weights, so the second is cheap. Of steps without prompt rows only. It says
// how many guesses are worth their time, never a result.
//
// The machine's speed and the shape of the curve are learnt apart, the first faster: a machine that
// slows down changes no price. A plain value; the engine thread's.

#include <array>
#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace reprise {

class RowPrice {
 public:
  RowPrice();

  // Of a step of so many rows (1 or more); 1 for one row.
  double Of(size_t rows) const;
  // A step of so many rows took so long.
  void Observe(size_t rows, Duration took);
  // Expected of a step of one row; nullopt while nothing was observed.
  std::optional<double> seconds() const;

 private:
  static constexpr std::array<size_t, 12> kRows = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};

  std::array<double, kRows.size()> price_;  // at kRows; between them straight lines
  double seconds_ = 0;                      // 0: nothing observed
};

}  // namespace reprise

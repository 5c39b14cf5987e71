#pragma once

// How fast a peer has to be: each limits::kPaceBytes need to be moved within a time that is given,
// and all of them within another. So that nobody keeps our memory by moving a byte now and then. A
// value.

#include <algorithm>
#include <cstddef>

#include "base/clock.h"
#include "base/limits.h"

namespace reprise {

class Pace {
 public:
  Pace(TimePoint now, Duration for_each, Duration for_all)
      : for_each_(for_each), last_(now + for_all), next_(now + for_each) {}

  void Move(size_t bytes, TimePoint now) {
    moved_ += bytes;
    if (moved_ < limits::kPaceBytes) return;
    moved_ = 0;
    next_ = now + for_each_;
  }
  TimePoint deadline() const { return std::min(next_, last_); }

 private:
  Duration for_each_;
  TimePoint last_, next_;
  size_t moved_ = 0;  // since the last of them
};

}  // namespace reprise

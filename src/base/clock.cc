#include "base/clock.h"

namespace reprise {

TimePoint SystemClock::Now() const { return std::chrono::steady_clock::now(); }

TimePoint ManualClock::Now() const { return TimePoint(Duration(now_ns_.load())); }

void ManualClock::Advance(Duration by) { now_ns_ += by.count(); }

}  // namespace reprise

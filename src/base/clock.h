#pragma once

// Time is injected, so that lifetimes can be tested without sleeping. A Clock is thread-safe.

#include <atomic>
#include <chrono>

namespace reprise {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;  // monotonic
};

class SystemClock final : public Clock {
 public:
  TimePoint Now() const override;
};

// Stands still until told to advance.
class ManualClock final : public Clock {
 public:
  TimePoint Now() const override;
  void Advance(Duration by);

 private:
  std::atomic<int64_t> now_ns_{0};
};

}  // namespace reprise

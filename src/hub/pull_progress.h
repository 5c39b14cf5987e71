#pragma once

// How far a download is, for people: on a terminal one line that is written anew, elsewhere a line
// every few seconds. The rate is that of the last seconds, so that it tells a stall. One thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace reprise {

class PullProgress {
 public:
  struct Options {
    const Clock* clock = nullptr;                 // outlives this
    bool terminal = false;                        // whether `write` goes to one
    std::function<void(std::string_view)> write;  // standard error; empty: nobody is told
  };
  PullProgress(Options options, std::string name, uint64_t total_bytes);

  // What was there before counts as done, but not into the rate.
  void Found(uint64_t bytes);
  void Fetched(uint64_t bytes);
  void Lost(uint64_t bytes);  // done bytes that have to come again
  // A line of its own: that something is waited for, say.
  void Say(std::string_view line);
  // Ends the terminal's line.
  void Finish();

 private:
  struct Sample {
    TimePoint at;
    uint64_t fetched_bytes;
  };
  void Show(TimePoint now);
  std::string Line(TimePoint now) const;

  Options options_;
  std::string name_;
  uint64_t total_bytes_;
  uint64_t done_bytes_ = 0;
  uint64_t fetched_bytes_ = 0;
  std::deque<Sample> samples_;  // of the last kRateSeconds, the oldest first
  TimePoint shown_{};
  bool line_open_ = false;  // of the terminal
};

}  // namespace reprise

#pragma once

// Counts of the HTTP side, and the page /metrics: these and the engine's, in Prometheus' text
// format (https://prometheus.io/docs/instrumenting/exposition_formats/). I/O thread only.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "engine/engine.h"
#include "http/listener.h"

namespace reprise {

class Metrics {
 public:
  // `route` is one of ours or "other", so that the number of series is bounded.
  void CountRequest(std::string_view route, int status);
  void ObserveTimeToFirstToken(double seconds);

  std::string Render(const EngineStats& engine, const HttpListener& listener) const;

 private:
  // Upper bounds in seconds: a hit on a small model takes milliseconds, a cold long prompt minutes.
  static constexpr std::array kBounds = {0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,
                                         1.0,   2.5,  5.0,   10.0, 30.0, 60.0, 300.0};

  std::map<std::pair<std::string, int>, uint64_t> requests_;
  std::array<uint64_t, kBounds.size() + 1> ttft_{};  // one a bound, and what is beyond
  double ttft_sum_s_ = 0;
  uint64_t unauthorized_ = 0;
};

}  // namespace reprise

#pragma once

// Counts and histograms of the HTTP side, and the page /metrics: these, the engine's
// (metrics_engine.h) and the process's (metrics_process.h). docs/api.md lists the series. I/O
// thread only.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "api/server_options.h"
#include "engine/engine.h"
#include "generation/request.h"
#include "http/listener.h"
#include "metrics/histogram.h"

namespace reprise {

class Metrics {
 public:
  // `route` is one of ours or "other", so that the number of series is bounded.
  void CountRequest(std::string_view route, int status);
  // Of each prompt, once.
  void ObserveLookup(const StartedEvent& event);
  // From the request's header to its first text; `hit`: at least half of its prompts was read.
  void ObserveFirstToken(double seconds, bool hit) {
    (hit ? first_token_hit_ : first_token_miss_).Observe(seconds);
  }
  // From one piece of a choice's text to its next. Called once a token or so: a search among a
  // dozen bounds.
  void ObserveBetweenTokens(double seconds) { between_tokens_.Observe(seconds); }
  // Of each sequence that came to its end.
  void ObserveQueue(double seconds) { queue_.Observe(seconds); }

  std::string Render(const EngineStats& engine, const HttpListener& listener,
                     const BuildInfo& build, std::string_view model) const;

 private:
  // A hit on a small model takes milliseconds, a cold long prompt minutes.
  static constexpr std::array kFirstTokenSeconds = {0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,
                                                    1.0,   2.5,  5.0,   10.0, 30.0, 60.0, 300.0};
  // About doubling: 5 ms is a small model, 200 ms the pace of reading, 0.1 s the default of
  // --stream-pause, and 10 s where clients are sent a ping.
  static constexpr std::array kBetweenTokensSeconds = {
      0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.5, 1.0, 10.0};
  // Nothing waits under 5 ms, but for the step that runs; from a second on a person notices, after
  // a minute clients give up.
  static constexpr std::array kQueueSeconds = {0.005, 0.025, 0.1,  0.25, 0.5, 1.0,
                                               2.5,   5.0,   10.0, 30.0, 60.0};
  // Doubling from a question to the longest context; 1,024 is the vendors' least cached prompt.
  static constexpr std::array kPromptTokens = {64.0,   128.0,  256.0,   512.0,   1024.0,  2048.0,
                                               4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131072.0};
  // Nothing; the template's first words (0.05); half, where hits begin; all but the last message
  // (0.9 and beyond); all but a token.
  static constexpr std::array kShares = {0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};

  std::map<std::pair<std::string, int>, uint64_t> requests_;
  uint64_t unauthorized_ = 0;
  Histogram first_token_hit_{kFirstTokenSeconds}, first_token_miss_{kFirstTokenSeconds};
  Histogram between_tokens_{kBetweenTokensSeconds};
  Histogram queue_{kQueueSeconds};
  Histogram prompt_tokens_{kPromptTokens};
  Histogram read_share_{kShares};
};

}  // namespace reprise

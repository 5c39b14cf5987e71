#include "api/metrics.h"

#include <fmt/format.h>

#include "api/metrics_engine.h"
#include "metrics/metrics_text.h"
#include "metrics/process_metrics.h"

namespace reprise {

void Metrics::CountRequest(std::string_view route, int status) {
  ++requests_[{std::string(route), status}];
  unauthorized_ += status == 401;
}

void Metrics::ObserveLookup(const StartedEvent& event) {
  prompt_tokens_.Observe(event.prompt_tokens);
  read_share_.Observe(static_cast<double>(event.cached_tokens) / event.prompt_tokens);
}

std::string Metrics::Render(const EngineStats& engine, const HttpListener& listener,
                            const BuildInfo& build, std::string_view model) const {
  using Kind = MetricsText::Kind;
  MetricsText text;
  text.Begin(Kind::kGauge, "reprise_build_info", "1, with what is running as labels.");
  text.Sample({{"version", build.version}, {"commit", build.commit}, {"model", std::string(model)}},
              1);
  WriteEngine(text, engine);

  text.Gauge("reprise_http_connections", "Open connections.", listener.open_connections());
  text.Counter("reprise_http_connections_accepted_total", "Connections accepted.",
               listener.accepted_connections());
  text.Counter("reprise_http_unauthorized_total",
               "Requests without a valid key, also counted by route below.", unauthorized_);
  text.Begin(Kind::kCounter, "reprise_http_requests_total", "Requests by route and status.");
  for (const auto& [key, count] : requests_) {
    text.Sample({{"route", key.first}, {"status", fmt::format("{}", key.second)}}, count);
  }

  const auto histogram = [&text](std::string_view name, std::string_view help,
                                 const Histogram& values) {
    text.Begin(Kind::kHistogram, name, help);
    text.Sample({}, values);
  };
  text.Begin(
      Kind::kHistogram, "reprise_time_to_first_token_seconds",
      "From the request's header to its first text; a hit read at least half of its prompt.");
  text.Sample({{"cache", "hit"}}, first_token_hit_);
  text.Sample({{"cache", "miss"}}, first_token_miss_);
  histogram("reprise_time_between_tokens_seconds",
            "From one piece of a reply's text to the next; a piece may be several tokens.",
            between_tokens_);
  histogram("reprise_queue_time_seconds", "From the engine's mailbox until admitted.", queue_);
  histogram("reprise_prompt_length_tokens", "Tokens of a prompt.", prompt_tokens_);
  histogram("reprise_prompt_read_ratio", "Share of a prompt that was read from the cache.",
            read_share_);
  WriteProcess(text);
  return text.Take();
}

}  // namespace reprise

#include "router/router_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "metrics/metrics_text.h"
#include "metrics/process_metrics.h"
#include "router/fleet_page.h"
#include "router/router_service.h"

namespace reprise {
namespace {

constexpr std::array kOverheadBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005,
                                        0.01,   0.025,   0.05,   0.1,   0.25,  1.0};
constexpr std::array kQueueBounds = {0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0};
constexpr std::array kDecisionBounds = {0.000005, 0.00001, 0.000025, 0.00005,
                                        0.0001,   0.00025, 0.001};

using Kind = MetricsText::Kind;

template <typename Value>
void SampleReplicas(MetricsText& text, const RouterService& service, Value value) {
  for (const auto& link : service.replicas.links()) {
    if (link != nullptr) text.Sample({{"replica", link->replica.name}}, value(link->replica));
  }
}

void WriteTraffic(MetricsText& text, const RouterMetrics& metrics) {
  text.Begin(Kind::kCounter, "reprise_router_requests_total",
             "Requests answered, by path and status; 499: the client went away.");
  for (const auto& [key, count] : metrics.requests) {
    text.Sample({{"route", key.first}, {"status", fmt::format("{}", key.second)}}, count);
  }
  text.Begin(Kind::kCounter, "reprise_router_decisions_total",
             "Prompts sent to a replica, by why it was that one.");
  for (const auto& [reason, count] : metrics.decisions)
    text.Sample({{"reason", std::string(reason)}}, count);
  text.Counter("reprise_router_retries_total",
               "Times that another replica was asked, because one failed or refused before its "
               "first byte.",
               metrics.retries);
  text.Counter("reprise_router_broken_replies_total",
               "Replies that a replica began and did not end.", metrics.broken_replies);
  text.Counter("reprise_router_queued_total",
               "Requests that waited because all replicas had as many as they may.",
               metrics.queued);
  text.Counter("reprise_router_refused_total",
               "Requests refused because all replicas stayed busy or the queue was full.",
               metrics.refused);
  text.Counter("reprise_router_unread_prompts_total",
               "Requests whose prompt could not be read here: a replica answers what is wrong.",
               metrics.unread);
  text.Counter("reprise_router_prompt_tokens_total",
               "Prompt tokens of requests whose replica said what it read from its cache.",
               metrics.prompt_tokens);
  text.Counter("reprise_router_expected_tokens_total",
               "Of those, expected to be read from the cache where they were sent.",
               metrics.expected_tokens);
  text.Counter("reprise_router_read_tokens_total", "Of those, read from the cache in fact.",
               metrics.read_tokens);
}

void WriteTimes(MetricsText& text, const RouterMetrics& metrics) {
  text.Begin(Kind::kHistogram, "reprise_router_overhead_seconds",
             "From a request's header to its being sent to a replica, without waiting in the "
             "queue.");
  text.Sample({}, metrics.overhead_seconds);
  text.Begin(Kind::kHistogram, "reprise_router_queue_seconds",
             "Waiting of requests that had to wait.");
  text.Sample({}, metrics.queue_seconds);
  text.Begin(Kind::kHistogram, "reprise_router_decision_seconds",
             "Finding what each replica holds of a prompt, and choosing one.");
  text.Sample({}, metrics.decision_seconds);
}

void WriteReplicas(MetricsText& text, const RouterService& service) {
  text.Begin(Kind::kGauge, "reprise_router_replicas", "Replicas by state.");
  std::map<std::string_view, size_t> states = {
      {"live", 0}, {"draining", 0}, {"dead", 0}, {"unknown", 0}};
  for (const auto& link : service.replicas.links()) {
    if (link != nullptr) ++states[StateName(link->replica)];
  }
  for (const auto& [state, count] : states) text.Sample({{"state", std::string(state)}}, count);
  const Holdings& holdings = service.knowledge.holdings();
  text.Begin(Kind::kGauge, "reprise_router_known_blocks",
             "Blocks that a replica has told to hold, or with --approximate pieces of text that it "
             "is taken to hold.");
  for (const auto& link : service.replicas.links()) {
    for (size_t level = 0; link != nullptr && level < kLevelNames.size(); ++level) {
      text.Sample({{"replica", link->replica.name}, {"place", std::string(kLevelNames[level])}},
                  holdings.blocks(link->replica.index, static_cast<Level>(level)));
    }
  }
  text.Counter("reprise_router_unknown_blocks_total",
               "Blocks told that stayed unknown, since --max-blocks were known.",
               holdings.refused());
  text.Begin(Kind::kGauge, "reprise_router_replica_followed",
             "1: what the replica holds is known; 0: not, or not yet.");
  SampleReplicas(text, service,
                 [](const Replica& replica) { return replica.told.followed ? 1 : 0; });
  text.Gauge("reprise_router_queue_length", "Requests that wait for a replica now.",
             service.line.size());
  text.Begin(Kind::kGauge, "reprise_router_replica_outstanding", "Requests at a replica now.");
  SampleReplicas(text, service, [](const Replica& replica) { return replica.outstanding; });
  text.Begin(Kind::kCounter, "reprise_router_replica_requests_total", "Requests sent there.");
  SampleReplicas(text, service, [](const Replica& replica) { return replica.requests; });
  text.Begin(Kind::kCounter, "reprise_router_replica_failures_total",
             "Of those, that failed or were refused before their first byte.");
  SampleReplicas(text, service, [](const Replica& replica) { return replica.failures; });
  text.Begin(Kind::kCounter, "reprise_router_replica_hits_total",
             "Requests of which the replica read something from its cache.");
  SampleReplicas(text, service, [](const Replica& replica) { return replica.hits; });
  text.Begin(Kind::kCounter, "reprise_router_replica_read_tokens_total",
             "Prompt tokens that it read from its cache.");
  SampleReplicas(text, service, [](const Replica& replica) { return replica.read_tokens; });
  text.Begin(Kind::kCounter, "reprise_router_replica_computed_tokens_total",
             "Prompt tokens that it computed.");
  SampleReplicas(text, service, [](const Replica& replica) {
    return replica.prompt_tokens - replica.read_tokens;
  });
  text.Begin(Kind::kCounter, "reprise_router_replica_busy_seconds_total",
             "Time that its requests took, added up.");
  SampleReplicas(text, service, [](const Replica& replica) { return replica.busy_seconds; });
  text.Gauge(
      "reprise_router_imbalance",
      "Busy seconds of the busiest replica by the mean of all, since the start; 0: none yet.",
      Imbalance(service));
}

}  // namespace

RouterMetrics::RouterMetrics()
    : overhead_seconds(kOverheadBounds),
      queue_seconds(kQueueBounds),
      decision_seconds(kDecisionBounds) {}

std::string_view NameOf(DecisionReason reason) {
  constexpr std::array<std::string_view, 5> kNames = {"only", "held", "spread", "free", "named"};
  return kNames[static_cast<size_t>(reason)];
}

double Imbalance(const RouterService& service) {
  double most = 0, sum = 0;
  for (const auto& link : service.replicas.links()) {
    if (link == nullptr) continue;
    most = std::max(most, link->replica.busy_seconds);
    sum += link->replica.busy_seconds;
  }
  return sum > 0 ? most * static_cast<double>(service.replicas.count()) / sum : 0;
}

std::string MetricsPage(const RouterService& service) {
  MetricsText text;
  text.Begin(Kind::kGauge, "reprise_build_info", "The program; always 1.");
  text.Sample({{"version", service.options.version}, {"commit", service.options.commit}}, 1);
  WriteTraffic(text, service.metrics);
  WriteTimes(text, service.metrics);
  WriteReplicas(text, service);
  WriteProcess(text);
  return text.Take();
}

}  // namespace reprise

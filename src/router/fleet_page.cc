#include "router/fleet_page.h"

#include <boost/json.hpp>
#include <chrono>
#include <utility>

#include "vendor/error_reply.h"

namespace reprise {
namespace json = boost::json;

std::string_view StateName(const Replica& replica) {
  using Health = Replica::Health;
  if (replica.health == Health::kDead) return "dead";
  if (replica.told.draining || replica.health == Health::kStopping) return "draining";
  return replica.health == Health::kLive ? "live" : "unknown";
}

namespace {

json::object ReplicaJson(const RouterService& service, const Replica& replica) {
  const Holdings& holdings = service.knowledge.holdings();
  json::object blocks;
  for (size_t level = 0; level < kLevelNames.size(); ++level) {
    blocks[kLevelNames[level]] = holdings.blocks(replica.index, static_cast<Level>(level));
  }
  const ReplicaLoad& load = replica.told.load;
  const double ahead =
      service.decider.AheadSeconds(replica.index, load, std::chrono::steady_clock::now());
  return {{"name", replica.name},
          {"state", StateName(replica)},
          {"followed", replica.told.followed},
          {"trouble", TextOrNull(replica.told.trouble)},
          {"blocks", std::move(blocks)},
          {"outstanding", replica.outstanding},
          {"ahead_seconds", ahead},
          {"seconds_per_token", load.seconds_per_token},
          {"requests", replica.requests},
          {"failures", replica.failures},
          {"hits", replica.hits},
          {"prompt_tokens", replica.prompt_tokens},
          {"expected_tokens", replica.expected_tokens},
          {"read_tokens", replica.read_tokens},
          {"busy_seconds", replica.busy_seconds}};
}

}  // namespace

std::string FleetPage(const RouterService& service) {
  json::array replicas;
  for (const auto& link : service.replicas.links()) {
    if (link != nullptr) replicas.push_back(ReplicaJson(service, link->replica));
  }
  json::object decisions;
  for (const auto& [reason, count] : service.metrics.decisions) decisions[reason] = count;
  const RouterMetrics& metrics = service.metrics;
  const Holdings& holdings = service.knowledge.holdings();
  const json::object page = {
      {"replicas", std::move(replicas)},
      {"approximate", service.knowledge.approximate()},
      {"blocks", {{"known", holdings.size()}, {"refused", holdings.refused()}}},
      {"decisions", std::move(decisions)},
      {"prompt_tokens", metrics.prompt_tokens},
      {"expected_tokens", metrics.expected_tokens},
      {"read_tokens", metrics.read_tokens},
      {"retries", metrics.retries},
      {"waiting", service.line.size()},
      {"imbalance", Imbalance(service)}};
  return json::serialize(page);
}

HttpResponse HealthPage(const RouterService& service) {
  HttpResponse response;
  bool any = false;
  for (const auto& link : service.replicas.links()) {
    any = any || (link != nullptr && link->replica.MayBeAsked());
  }
  const std::string_view status = service.stopping ? "stopping" : any ? "ok" : "no replica";
  response.status = any && !service.stopping ? 200 : 503;
  response.body = json::serialize(json::object{{"status", status}});
  return response;
}

}  // namespace reprise

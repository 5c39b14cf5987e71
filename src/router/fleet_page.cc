#include "router/fleet_page.h"

#include <boost/json.hpp>

namespace reprise {
namespace json = boost::json;

std::string_view StateName(const Replica& replica) {
  using Health = Replica::Health;
  if (replica.health == Health::kDead) return "dead";
  if (replica.told.draining || replica.health == Health::kStopping) return "draining";
  return replica.health == Health::kLive ? "live" : "unknown";
}

std::string FleetPage(const RouterService& service) {
  json::array replicas;
  for (const auto& link : service.replicas.links()) {
    if (link == nullptr) continue;
    const Replica& replica = link->replica;
    replicas.push_back(json::object{{"name", replica.name},
                                    {"state", StateName(replica)},
                                    {"outstanding", replica.outstanding},
                                    {"requests", replica.requests},
                                    {"failures", replica.failures},
                                    {"busy_seconds", replica.busy_seconds}});
  }
  const json::object page = {{"replicas", std::move(replicas)}, {"waiting", service.line.size()}};
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

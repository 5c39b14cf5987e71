#pragma once

// What a router says of its replicas: GET /fleet, as JSON for people and programs, and GET /health
// for load balancers. I/O thread only.

#include <string>

#include "http/message.h"
#include "router/router_service.h"

namespace reprise {

// {"status", "replicas": [{"name", "state", …}], "decisions", …}; docs/api.md has all of it.
std::string FleetPage(const RouterService& service);

// 200 while any replica may be asked, else 503.
HttpResponse HealthPage(const RouterService& service);

// "live", "draining", "dead", "unknown".
std::string_view StateName(const Replica& replica);

}  // namespace reprise

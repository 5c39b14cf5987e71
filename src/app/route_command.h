#pragma once

// `reprise route`: a router before replicas, until it is told to stop by SIGINT or SIGTERM. SIGHUP
// has it read its keys again.

#include <string>
#include <vector>

#include "base/clock.h"
#include "router/router_options.h"

namespace CLI {
class App;
}

namespace reprise {

struct RouteOptions {
  RouterOptions router;
  std::vector<std::string> replicas;  // URLs, as they were given
  std::string model;  // a GGUF file, or its name on the hub; empty with --approximate
  bool approximate = false;
  std::string replicas_from;       // NAME:PORT; empty: none
  std::string tool_format;         // as the replicas have it; empty: as the template's words tell
  std::string chat_template_file;  // as the replicas have it; empty: the model's own
  std::string api_keys_file;       // empty: nobody needs a key
  std::string fleet_token_file;    // empty: none
  double queue_wait_s = 30;
  double drain_s = 30;
};

CLI::App& AddRoute(CLI::App& app, RouteOptions& options);

// Returns the exit code: 0 after a clean stop, 2 with a sentence on standard error otherwise.
int RunRoute(RouteOptions options);

}  // namespace reprise

#pragma once

// `reprise serve`: loads a model, starts the engine and the HTTP server, and runs until it is told
// to stop by SIGINT or SIGTERM. SIGHUP has it read its keys again.

#include <cstddef>
#include <string>

#include "api/server.h"
#include "app/load.h"
#include "app/tiers.h"
#include "base/clock.h"
#include "engine/engine.h"

namespace reprise {

struct ServeOptions {
  ModelOptions model;
  ServerOptions server;
  std::string chat_template_file;  // in place of the model's own; empty: none
  std::string trace_path;          // of a file for chrome://tracing; empty: none
  TierOptions tiers;
  EngineOptions engine;          // kv_bytes 0: a quarter of the memory
  const Clock* clock = nullptr;  // of all lifetimes, outlives the server; null: the system's
  std::string api_keys_file;     // empty: nobody needs a key
  std::string fleet_token_file;  // empty: there is none
  Duration drain = std::chrono::seconds(5);  // what runs has so long to end when the server stops
};

// Returns the exit code: 0 after a clean stop, 2 with a sentence on standard error otherwise.
int RunServe(ServeOptions options);

}  // namespace reprise

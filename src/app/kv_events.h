#pragma once

// `reprise serve --kv-events`: blocks told over ZeroMQ (kv_events/publisher.h), under a topic that
// says whose they are.

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/engine.h"
#include "kv_events/publisher.h"

namespace CLI {
class App;
}

namespace reprise {

struct KvEventOptions {
  std::string address;           // empty: nothing is published
  std::string replay_address;    // empty: nothing is replayed
  std::string topic;             // empty: kv@HOST@MODEL, by which llm-d knows a replica
  std::string encoding = "map";  // or "array"
};

void AddKvEvents(CLI::App& serve, KvEventOptions& options);

// Null: nothing is to be published. Says in the log where it is. REQUIRES: the publisher ends
// before the engine.
Result<std::unique_ptr<KvEventPublisher>> StartKvEvents(const KvEventOptions& options,
                                                        Engine& engine, std::string_view model);

}  // namespace reprise

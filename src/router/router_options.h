#pragma once

// What a router is started with. Values.

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/api_keys.h"
#include "http/web_origin.h"
#include "router/prompt_reader.h"
#include "router/replica.h"

namespace reprise {

struct RouterOptions {
  std::string host = "127.0.0.1";
  int port = 8090;  // 0: any free one
  std::vector<ReplicaAddress> replicas;
  std::optional<ReplicaAddress> replicas_from;  // asked of the DNS again and again
  std::optional<ApiKeys> api_keys;              // none: nobody needs a key of the router's
  std::string fleet_token;                      // shown to replicas for what they hold; empty: none
  std::shared_ptr<PromptReader> reader;  // null: prefixes are guessed by texts, for other engines
  size_t max_blocks = size_t{4} << 20;   // known of all replicas together
  size_t max_outstanding = 64;           // requests at one replica at a time
  size_t queue = 256;                    // requests that wait for a replica …
  Duration queue_wait = std::chrono::seconds(30);  // … and how long at most
  size_t request_memory = 0;  // bytes that bodies hold together; 0: limits::kMinRequestMemory
  OriginPolicy origins;
  std::string version;  // of the program, for its metrics
  std::string commit;
};

}  // namespace reprise

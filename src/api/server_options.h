#pragma once

// What a server is started with. Values.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "dialect/dialect.h"
#include "engine/engine.h"
#include "http/api_keys.h"
#include "http/web_origin.h"
#include "vendor/api_policy.h"
#include "vendor/call.h"

namespace reprise {

// A page beside the server's own, of a program that is built around it. `answer` runs on the I/O
// thread and never blocks; what it returns is sent as JSON. REQUIRES: no page of ours has the path.
struct ExtraPage {
  std::string method;
  std::string path;
  std::function<Result<std::string>(Engine& engine, const std::string& body)> answer;
};

// Of the program that serves, for reprise_build_info. Any text.
struct BuildInfo {
  std::string version;
  std::string commit;
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;                   // 0: any free one
  std::string model_name;            // what /v1/models lists and every response says
  std::string model_path;            // shown by /props
  BuildInfo build;                   // shown by /metrics
  std::string chat_template_source;  // shown by /props
  std::string bos_token;             // texts for the template's context; may be empty
  std::string eos_token;
  std::optional<ToolFormat> tool_format;  // none: as the template's words tell
  bool strict_model = false;              // another name in `model` is a 404
  bool expose_logits_checksum = false;    // each choice carries logits_checksum (for tests)
  std::optional<int> default_max_tokens;  // of a chat completion that names none
  Duration response_retention = std::chrono::minutes(30);  // of stored responses; 0: none is stored
  ApiPolicy policy;
  std::vector<ExtraPage> extra_pages;
  // Called with each choice of a conversation before the engine gets it, on the I/O thread; also of
  // a program that is built around the server.
  std::function<void(const Call&, const Tokenizer&, GenerationRequest&)> before_submit;
  std::optional<ApiKeys> api_keys;  // none: nobody needs a key
  std::string fleet_token;          // who shows it may follow GET /cache/events; empty: nobody
  OriginPolicy origins;             // which web pages may use the server
  // Bytes that bodies, the work on them and replies hold together; beyond, requests are refused.
  size_t request_memory = 0;  // 0: limits::kMinRequestMemory
  int threads = 1;            // that compute, shown by /savings
};

}  // namespace reprise

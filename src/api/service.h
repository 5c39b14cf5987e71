#pragma once

// What every handler needs: the engine, the model's texts, the counts, and the worker threads that
// read bodies and tokenise. One a server; its own parts belong to the I/O thread.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>

#include "api/followers.h"
#include "api/metrics.h"
#include "api/server_options.h"
#include "api/turns.h"
#include "api/watchers.h"
#include "engine/engine.h"
#include "history/history.h"
#include "history/ledger.h"
#include "http/api_keys.h"
#include "http/body_workers.h"
#include "http/listener.h"
#include "vendor/served_model.h"

namespace reprise {

class CompletionRun;

inline Error StoppingError() {
  return {ErrorCode::kCancelled, "The server is stopping; ask again in a moment.", ""};
}

class Service {
 public:
  Service(Engine& served_engine, ServedModel served_model, const ServerOptions& server_options,
          boost::asio::io_context& io_context, const HttpListener& http_listener);

  // From the system's generator: nobody can tell one from those before.
  static uint64_t NextRandom();
  static std::string NewId(std::string_view prefix);
  static int64_t SecondsSince1970();

  Engine& engine;
  const ServedModel model;
  const ServerOptions options;
  const boost::asio::any_io_executor io;
  const HttpListener& listener;
  const int64_t started_at;     // seconds since 1970
  std::optional<ApiKeys> keys;  // none: nobody needs one
  Metrics metrics;
  History history;
  Turns tree_turns;  // of those who look at the tree
  Ledger ledger;
  Watchers watchers;
  Followers followers;
  BodyWorkers workers;
  bool noted_billing_line = false;  // said once that it is left out
  bool stopping = false;            // nothing new is begun
  size_t open_exchanges = 0;        // requests being answered
  std::unordered_set<CompletionRun*> runs;
};

}  // namespace reprise

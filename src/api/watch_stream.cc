#include "api/watch_stream.h"

#include <fmt/format.h>

#include <functional>
#include <optional>
#include <utility>

#include "api/ask_engine.h"
#include "base/limits.h"

namespace reprise {
namespace asio = boost::asio;

asio::awaitable<void> HandleWatch(Exchange& exchange) {
  Service& service = exchange.service;
  if (service.watchers.count() == limits::kMaxWatchers) {
    Error error{ErrorCode::kOverloaded,
                fmt::format("{} connections watch already; ask for single pages meanwhile.",
                            limits::kMaxWatchers),
                ""};
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  Watcher watcher(service.watchers, exchange.identity, exchange.connection);
  if (!co_await exchange.BeginEvents()) co_return;
  Engine& engine = service.engine;
  std::function<void(std::function<void(EngineSnapshot)>)> ask = [&engine](auto done) {
    engine.TakeSnapshot(std::move(done));
  };
  std::optional<EngineSnapshot> snapshot =
      co_await AskEngine<EngineSnapshot>(service, std::move(ask));
  if (!snapshot) co_return;
  watcher.Join(std::move(snapshot->tenants));
  if (co_await watcher.Follow()) exchange.completed = co_await exchange.connection.EndStream();
}

}  // namespace reprise

#include "api/follow_stream.h"

#include <fmt/format.h>

#include <utility>

#include "base/fleet_limits.h"

namespace reprise {
namespace asio = boost::asio;

asio::awaitable<void> HandleFollow(Exchange& exchange) {
  Service& service = exchange.service;
  if (service.followers.count() == limits::kMaxFollowers) {
    Error error{ErrorCode::kOverloaded,
                fmt::format("{} connections follow already.", limits::kMaxFollowers), ""};
    co_await exchange.SendError(std::move(error));
    co_return;
  }
  Follower follower(service.followers, exchange.connection, exchange.request.memory->Another());
  if (!co_await exchange.BeginEvents()) co_return;
  if (co_await follower.Follow()) exchange.completed = co_await exchange.connection.EndStream();
}

}  // namespace reprise

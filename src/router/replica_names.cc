#include "router/replica_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <exception>
#include <tuple>
#include <utility>

#include "base/fleet_limits.h"
#include "base/log.h"
#include "http/as_tuple.h"
#include "http/within.h"

namespace reprise {
namespace asio = boost::asio;
using asio::ip::tcp;
namespace {

using Addresses = Result<std::vector<ReplicaAddress>>;

asio::awaitable<Addresses> ResolveName(ReplicaAddress name) {
  tcp::resolver resolver(co_await asio::this_coro::executor);
  const auto [failure, found] =
      co_await resolver.async_resolve(name.host, std::to_string(name.port), kAsTuple);
  if (failure) co_return Fail(ErrorCode::kIo, failure.message());
  std::vector<ReplicaAddress> addresses;
  addresses.reserve(found.size());
  for (const auto& entry : found) {
    addresses.push_back({entry.endpoint().address().to_string(), name.port});
  }
  co_return addresses;
}

}  // namespace

ReplicaNames::ReplicaNames(asio::any_io_executor io, ReplicaAddress name, Taker take, Asker ask)
    : io_(io),
      name_(std::move(name)),
      take_(std::move(take)),
      ask_(ask ? std::move(ask) : Asker(ResolveName)),
      pause_(io) {}

void ReplicaNames::Start() {
  asio::co_spawn(
      io_, [self = shared_from_this()] { return self->Run(); }, asio::detached);
}

void ReplicaNames::Stop() {
  stopped_ = true;
  pause_.cancel();
}

asio::awaitable<void> ReplicaNames::AskOnce() {
  auto answer = co_await Within(std::chrono::milliseconds(limits::kNamesTimeoutMs), ask_(name_));
  if (stopped_) co_return;
  Addresses found = Fail(ErrorCode::kIo, "no answer");
  if (answer) found = *std::move(answer);
  if (found && found->empty()) found = Fail(ErrorCode::kIo, "it has no addresses");
  if (!found) {
    if (!std::exchange(failed_, true)) {
      LogWarning("{} cannot be resolved ({}); the {} replicas known stay", name_.Name(),
                 found.error().message, known_.size());
    }
    co_return;
  }
  if (std::exchange(failed_, false)) LogInfo("{} is resolved again", name_.Name());
  std::ranges::sort(*found, {},
                    [](const ReplicaAddress& each) { return std::tie(each.host, each.port); });
  const auto doubled = std::ranges::unique(*found);
  found->erase(doubled.begin(), doubled.end());
  if (*found == known_) co_return;
  known_ = *std::move(found);
  take_(known_);
}

asio::awaitable<void> ReplicaNames::Run() {
  while (!stopped_) {
    try {
      co_await AskOnce();
    } catch (const std::exception& failure) {
      LogError("asking for {} failed: {}", name_.Name(), failure.what());
    }
    if (stopped_) break;
    pause_.expires_after(std::chrono::milliseconds(limits::kNamesPauseMs));
    co_await pause_.async_wait(kAsTuple);
  }
}

}  // namespace reprise

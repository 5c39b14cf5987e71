#include "router/replica_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <exception>
#include <utility>

#include "base/fleet_limits.h"
#include "base/log.h"
#include "http/as_tuple.h"
#include "http/within.h"

namespace reprise {
namespace asio = boost::asio;

ReplicaLink::ReplicaLink(const asio::any_io_executor& io, size_t index, ReplicaAddress address,
                         std::function<void(Replica&)> on_change)
    : replica(index, address),
      pool(io, std::move(address)),
      io_(io),
      on_change_(std::move(on_change)),
      pause_(io) {}

void ReplicaLink::Start() {
  asio::co_spawn(
      io_, [self = shared_from_this()] { return self->Look(); },
      asio::bind_cancellation_slot(end_.slot(), asio::detached));
}

void ReplicaLink::Stop() {
  stopped_ = true;
  end_.emit(asio::cancellation_type::terminal);
  pool.Clear();
}

void ReplicaLink::LookNow() {
  look_now_ = true;
  pause_.cancel();
}

void ReplicaLink::NoteFailure(std::string_view what, bool unreachable) {
  if (unreachable) Become(Replica::Health::kDead, what);
  pool.Clear();
  LookNow();
}

void ReplicaLink::Become(Replica::Health health, std::string_view why) {
  using Health = Replica::Health;
  if (replica.health == health) return;
  const Health before = std::exchange(replica.health, health);
  // What is there again is another process, or has changed its mind.
  if (health == Health::kLive) replica.told.draining = false;
  if (health == Health::kLive) {
    LogInfo("replica {} is {}", replica.name, before == Health::kUnknown ? "there" : "back");
  } else if (health == Health::kStopping) {
    LogInfo("replica {} is stopping: nothing new goes there", replica.name);
  } else {
    LogWarning("replica {} is not there: {}", replica.name, why);
    pool.Clear();
  }
  on_change_(replica);
}

asio::awaitable<Result<int>> ReplicaLink::AskHealth() {
  auto connection = co_await pool.Connect();
  if (!connection) co_return std::unexpected(connection.error());
  std::string head = fmt::format("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", replica.name);
  const Result<ReplyHead> reply = co_await (*connection)->Ask(std::move(head), "", false);
  if (!reply) co_return std::unexpected(reply.error());
  for (;;) {
    const Result<std::string> body = co_await (*connection)->ReadBody();
    if (!body) co_return std::unexpected(body.error());
    if (body->empty()) break;
  }
  pool.GiveBack(*std::move(connection));
  co_return reply->status;
}

asio::awaitable<Replica::Health> ReplicaLink::LookOnce(std::string& trouble) {
  using Health = Replica::Health;
  const auto status =
      co_await Within(std::chrono::milliseconds(limits::kHealthTimeoutMs), AskHealth());
  if (!status) {
    trouble = fmt::format("no answer within {} s", limits::kHealthTimeoutMs / 1000);
  } else if (*status) {
    missed_ = 0;
    // What another engine says at /health, if it has one, is its own matter; it is there.
    co_return **status == 503 ? Health::kStopping : Health::kLive;
  } else if (status->error().code == ErrorCode::kOverloaded) {
    co_return replica.health;  // it says nothing of the replica
  } else {
    trouble = status->error().message;
  }
  const bool has_been = replica.health == Health::kLive || replica.health == Health::kStopping;
  co_return ++missed_ < limits::kMissedLooks&& has_been ? replica.health : Health::kDead;
}

asio::awaitable<void> ReplicaLink::Look() {
  int pause_ms = limits::kHealthPauseMs;
  while (!stopped_) {
    std::string trouble;
    look_now_ = false;
    try {
      const Replica::Health health = co_await LookOnce(trouble);
      if (stopped_) break;
      Become(health, trouble);
    } catch (const std::exception& failure) {
      if (stopped_) break;
      LogError("looking at a replica failed: {}", failure.what());
    }
    pause_ms = replica.health == Replica::Health::kDead
                   ? std::min(2 * pause_ms, limits::kMaxHealthPauseMs)
                   : limits::kHealthPauseMs;
    if (!look_now_) {
      pause_.expires_after(std::chrono::milliseconds(pause_ms));
      co_await pause_.async_wait(kAsTuple);
    }
  }
}

}  // namespace reprise

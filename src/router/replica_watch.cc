#include "router/replica_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <chrono>
#include <exception>
#include <utility>

#include "base/fleet_limits.h"
#include "base/log.h"
#include "http/as_tuple.h"
#include "router/sse_reader.h"

namespace reprise {
namespace asio = boost::asio;

ReplicaWatch::ReplicaWatch(asio::any_io_executor io, std::shared_ptr<ReplicaLink> link,
                           ReplicaLore& lore, std::string token, Duration silence)
    : io_(io),
      link_(std::move(link)),
      token_(std::move(token)),
      silence_longest_(silence),
      events_(link_->replica, lore),
      pause_(io),
      silence_(io) {}

void ReplicaWatch::Start() {
  asio::co_spawn(
      io_, [self = shared_from_this()] { return self->Run(); }, asio::detached);
}

void ReplicaWatch::Stop() {
  stopped_ = true;
  pause_.cancel();
  silence_.cancel();
  if (open_ != nullptr) open_->Close();
}

// What is silent for too long is closed, by which whoever reads from it wakes.
void ReplicaWatch::AwaitSilence() {
  silence_.expires_after(silence_longest_);
  silence_.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
    if (cancelled || self->open_ == nullptr) return;
    self->silent_ = true;
    self->open_->Close();
  });
}

Status ReplicaWatch::TakeBytes(std::string_view bytes, SseReader& reader) {
  Status taken;
  const bool fits = reader.Put(bytes, [&](std::string_view name, std::string_view data) {
    if (taken) taken = events_.Take(name, data, std::chrono::steady_clock::now());
  });
  if (!fits) return Fail(ErrorCode::kCorrupt, "an event of it has no end");
  const std::string& trouble = link_->replica.told.trouble;
  if (!trouble.empty() && trouble != said_) {
    LogWarning("nothing is expected of replica {}: {}", link_->replica.name, trouble);
  }
  said_ = trouble;
  return taken;
}

asio::awaitable<Error> ReplicaWatch::FollowOnce() {
  auto connected = co_await link_->pool.Connect(/*fresh=*/true);
  if (!connected) co_return connected.error();
  if (stopped_) co_return Error{ErrorCode::kCancelled, "", ""};
  const std::unique_ptr<UpstreamConnection> connection = *std::move(connected);
  open_ = connection.get();
  const std::shared_ptr<void> closes(nullptr, [this](void*) {
    open_ = nullptr;
    silence_.cancel();
  });
  std::string head = fmt::format(
      "GET /cache/events HTTP/1.1\r\nHost: {}\r\n{}\r\n", link_->replica.name,
      token_.empty() ? std::string() : fmt::format("Authorization: Bearer {}\r\n", token_));
  silent_ = false;
  AwaitSilence();
  const Result<ReplyHead> reply = co_await connection->Ask(std::move(head), "", false);
  if (!reply) co_return reply.error();
  if (reply->status != 200) {
    const bool refused = reply->status == 401 || reply->status == 403;
    co_return Error{ErrorCode::kForbidden,
                    fmt::format("it answers {} at /cache/events{}", reply->status,
                                refused ? ": give both the same --fleet-token" : ""),
                    ""};
  }
  if (link_->replica.health != Replica::Health::kLive) link_->LookNow();
  SseReader reader;
  for (;;) {
    const Result<std::string> bytes = co_await connection->ReadBody();
    if (silent_) co_return Error{ErrorCode::kIo, "its events have fallen silent", ""};
    if (!bytes) co_return bytes.error();
    if (bytes->empty()) co_return Error{ErrorCode::kIo, "its events have ended", ""};
    AwaitSilence();
    if (const Status taken = TakeBytes(*bytes, reader); !taken) co_return taken.error();
  }
}

asio::awaitable<void> ReplicaWatch::Run() {
  int pause_ms = limits::kEventsPauseMs;
  std::string said;
  while (!stopped_) {
    Error why{ErrorCode::kInternal, "", ""};
    bool followed = false;
    try {
      events_.Begin();
      why = co_await FollowOnce();
    } catch (const std::exception& failure) {
      why.message = failure.what();
    }
    followed = link_->replica.told.followed;
    events_.End();
    if (stopped_) break;
    // One that is dead has been said to be so, and the same again is said once.
    if (followed) said.clear();
    if (link_->replica.health == Replica::Health::kLive && why.message != said) {
      LogWarning("what replica {} holds is not known: {}", link_->replica.name, why.message);
      said = why.message;
    }
    pause_ms =
        followed ? limits::kEventsPauseMs : std::min(2 * pause_ms, limits::kMaxEventsPauseMs);
    pause_.expires_after(std::chrono::milliseconds(pause_ms));
    co_await pause_.async_wait(kAsTuple);
  }
}

}  // namespace reprise

#include "router/upstream.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "base/fleet_limits.h"
#include "base/limits.h"
#include "http/as_tuple.h"
#include "http/within.h"

namespace reprise {
namespace asio = boost::asio;
using asio::ip::tcp;
namespace {

constexpr size_t kUpstreamReadBytes = 64u << 10;

Error Lost(std::string what) { return {ErrorCode::kIo, std::move(what), ""}; }

// So that a replica whose machine has gone without a word is noticed, however long a prompt may
// take to compute.
void KeepWatch(tcp::socket& socket) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto set = [&](int name, int value) {
    setsockopt(socket.native_handle(), IPPROTO_TCP, name, &value, sizeof value);
  };
  set(TCP_KEEPIDLE, limits::kUpstreamProbeSeconds);
  set(TCP_KEEPINTVL, limits::kUpstreamProbeSeconds);
  set(TCP_KEEPCNT, limits::kUpstreamProbes);
  set(TCP_USER_TIMEOUT, limits::kUpstreamProbeSeconds * (limits::kUpstreamProbes + 1) * 1000);
}

asio::awaitable<boost::system::error_code> ConnectTo(tcp::socket& socket,
                                                     const ReplicaAddress& address) {
  boost::system::error_code failure;
  const asio::ip::address literal = asio::ip::make_address(address.host, failure);
  if (!failure) {
    const auto [refused] =
        co_await socket.async_connect(tcp::endpoint(literal, address.port), kAsTuple);
    co_return refused;
  }
  tcp::resolver resolver(socket.get_executor());
  const auto [unknown, found] =
      co_await resolver.async_resolve(address.host, std::to_string(address.port), kAsTuple);
  if (unknown) co_return unknown;
  const auto [refused, endpoint] = co_await asio::async_connect(socket, found, kAsTuple);
  co_return refused;
}

// Anything there is to read from an idle connection is its end, or no response to a request.
bool IsSilent(tcp::socket& socket) {
  char byte = 0;
  const ssize_t count = recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace

void UpstreamConnection::Close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<bool> UpstreamConnection::ReadMore() {
  space_.resize(kUpstreamReadBytes);
  const auto [failure, count] = co_await socket_.async_read_some(asio::buffer(space_), kAsTuple);
  inbox_.append(space_.data(), count);
  ended_ = failure == asio::error::eof;
  co_return !failure;
}

asio::awaitable<Result<ReplyHead>> UpstreamConnection::Ask(std::string head,
                                                           const std::string& body,
                                                           bool head_only) {
  const std::array<asio::const_buffer, 2> whole = {asio::buffer(head), asio::buffer(body)};
  const auto [failure, count] = co_await asio::async_write(socket_, whole, kAsTuple);
  // One that refuses a body closes before it has read it, and its answer may lie here already.
  if (failure && failure != asio::error::broken_pipe && failure != asio::error::connection_reset) {
    co_return std::unexpected(Lost(failure.message()));
  }
  parser_ = std::make_unique<ReplyParser>(head_only);
  for (;;) {
    bool ok = true;
    inbox_.erase(0, parser_->Put(inbox_, ok));
    if (!ok) co_return std::unexpected(Lost("it answers, but not in HTTP"));
    if (parser_->has_head()) {
      const int status = parser_->head().status;
      if (status >= 200) co_return parser_->head();
      if (status == 101) co_return std::unexpected(Lost("it changes to another protocol"));
      parser_ = std::make_unique<ReplyParser>(head_only);
      continue;
    }
    if (!co_await ReadMore()) co_return std::unexpected(Lost("it closed without an answer"));
  }
}

asio::awaitable<Result<std::string>> UpstreamConnection::ReadBody() {
  for (;;) {
    if (parser_->body_bytes() > 0) co_return parser_->TakeBody();
    if (parser_->is_done()) co_return std::string();
    bool ok = true;
    const size_t used = parser_->Put(inbox_, ok);
    inbox_.erase(0, used);
    if (!ok) co_return std::unexpected(Lost("its answer is not in HTTP"));
    if (used > 0 || parser_->is_done()) continue;
    if (co_await ReadMore()) continue;
    if (ended_ && parser_->PutEnd()) continue;
    co_return std::unexpected(Lost("it closed in the middle of its answer"));
  }
}

std::optional<tcp::socket> UpstreamPool::TakeIdle() {
  const TimePoint oldest =
      std::chrono::steady_clock::now() - std::chrono::seconds(limits::kUpstreamIdleSeconds);
  while (!idle_.empty()) {
    Idle last = std::move(idle_.back());
    idle_.pop_back();
    if (last.since < oldest) {
      idle_.clear();  // all others are older
    } else if (IsSilent(last.socket)) {
      return std::move(last.socket);
    }
  }
  return std::nullopt;
}

asio::awaitable<Result<std::unique_ptr<UpstreamConnection>>> UpstreamPool::Connect(bool fresh) {
  if (!fresh) {
    if (std::optional<tcp::socket> idle = TakeIdle()) {
      co_return std::make_unique<UpstreamConnection>(*std::move(idle), /*reused=*/true);
    }
  }
  tcp::socket socket(io_);
  const auto refused = co_await Within(std::chrono::milliseconds(limits::kConnectTimeoutMs),
                                       ConnectTo(socket, address_));
  if (!refused) {
    co_return std::unexpected(Lost(fmt::format("{} does not take a connection", address_.Name())));
  }
  if (*refused == asio::error::no_descriptors || *refused == asio::error::no_memory) {
    co_return Fail(ErrorCode::kOverloaded,
                   "The router has no connection left; ask again in a moment.");
  }
  if (*refused) {
    co_return std::unexpected(
        Lost(fmt::format("{} cannot be reached: {}", address_.Name(), refused->message())));
  }
  KeepWatch(socket);
  co_return std::make_unique<UpstreamConnection>(std::move(socket), /*reused=*/false);
}

void UpstreamPool::GiveBack(std::unique_ptr<UpstreamConnection> connection) {
  const bool whole = connection->parser_ != nullptr && connection->parser_->is_done() &&
                     connection->parser_->head().keep_alive && connection->inbox_.empty();
  if (!whole || connection->ended_ || !connection->socket_.is_open()) return;
  if (idle_.size() >= limits::kMaxIdleUpstreams) idle_.erase(idle_.begin());
  idle_.push_back({std::move(connection->socket_), std::chrono::steady_clock::now()});
}

}  // namespace reprise

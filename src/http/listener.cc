#include "http/listener.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "http/as_tuple.h"

namespace reprise {
namespace asio = boost::asio;
using asio::ip::tcp;
namespace {

// Every connection is a file; the usual soft limit is 1,024 of them.
void RaiseFileLimit(size_t more_files) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = limits::kMaxConnections + more_files;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
    LogWarning("only {} files may be open, so fewer connections than {} can be", limit.rlim_cur,
               limits::kMaxConnections);
  }
}

// Closing it is the caller's.
void SayFull(tcp::socket& socket) {
  constexpr std::string_view kFull =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
      "Connection: close\r\n\r\n";
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(kFull), ignored);
}

}  // namespace

HttpListener::HttpListener(asio::io_context& io, HttpHandlers handlers)
    : io_(io),
      handlers_(std::move(handlers)),
      acceptor_(io),
      sweep_timer_(io),
      spare_file_(open("/dev/null", O_RDONLY | O_CLOEXEC)) {}

HttpListener::~HttpListener() {
  if (spare_file_ >= 0) close(spare_file_);
}

Status HttpListener::Listen(const std::string& host, int port, size_t more_files) {
  boost::system::error_code failure;
  const asio::ip::address address = asio::ip::make_address(host, failure);
  if (failure || port < 0 || port > 65535) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:{} is not an address and port to listen on.", host, port));
  }
  RaiseFileLimit(more_files);
  const tcp::endpoint endpoint(address, static_cast<uint16_t>(port));
  acceptor_.open(endpoint.protocol(), failure);
  if (!failure) acceptor_.set_option(asio::socket_base::reuse_address(true), failure);
  if (!failure) acceptor_.bind(endpoint, failure);
  if (!failure) acceptor_.listen(limits::kMaxConnections, failure);
  if (!failure) port_ = acceptor_.local_endpoint(failure).port();
  if (failure == asio::error::address_in_use) {
    return Fail(ErrorCode::kIo,
                fmt::format("Port {} of {} is in use by another program.", port, host));
  }
  if (failure) {
    return Fail(ErrorCode::kIo,
                fmt::format("Cannot listen on {}:{}: {}.", host, port, failure.message()));
  }
  return {};
}

void HttpListener::Start() {
  asio::co_spawn(io_, Accept(), asio::detached);
  asio::co_spawn(io_, Sweep(), asio::detached);
}

asio::awaitable<void> HttpListener::Accept() {
  while (!closing_) {
    auto [failure, socket] = co_await acceptor_.async_accept(kAsTuple);
    if (closing_ || !acceptor_.is_open()) co_return;
    if (failure) {
      if (RefuseOne(failure)) continue;
      asio::steady_timer pause(io_, std::chrono::milliseconds(100));
      co_await pause.async_wait(kAsTuple);
      continue;
    }
    ++accepted_;
    if (connections_.size() >= limits::kMaxConnections) {
      SayFull(socket);
    } else {
      asio::co_spawn(io_, Converse(std::move(socket)), asio::detached);
    }
  }
}

// Without a file to be had, the next client would wait for an answer until another leaves. The file
// that is kept for this moment lets us tell it. False: it was no lack of files, or the file is
// gone.
bool HttpListener::RefuseOne(const boost::system::error_code& failure) {
  const TimePoint now = std::chrono::steady_clock::now();
  if (now - warned_ > std::chrono::seconds(limits::kAcceptWarningSeconds)) {
    warned_ = now;
    LogWarning("cannot accept a connection: {}", failure.message());
  }
  const bool no_files = failure == asio::error::no_descriptors ||
                        failure.value() == ENFILE;  // of process, of machine
  if (!no_files || spare_file_ < 0) return false;
  close(spare_file_);
  tcp::socket socket(io_);
  boost::system::error_code refused;
  acceptor_.non_blocking(true, refused);
  acceptor_.accept(socket, refused);
  if (!refused) SayFull(socket);
  socket.close(refused);
  spare_file_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return spare_file_ >= 0;
}

asio::awaitable<void> HttpListener::Converse(tcp::socket socket) {
  HttpConnection connection(std::move(socket), handlers_);
  connections_.insert(&connection);
  co_await connection.Run();
  connections_.erase(&connection);
}

// One timer for all deadlines; they are seconds, so a second is exact enough.
asio::awaitable<void> HttpListener::Sweep() {
  while (!closing_) {
    sweep_timer_.expires_after(std::chrono::seconds(1));
    co_await sweep_timer_.async_wait(kAsTuple);
    const TimePoint now = std::chrono::steady_clock::now();
    for (HttpConnection* connection : connections_) {
      if (connection->deadline() < now) connection->Close();
    }
  }
}

void HttpListener::StopAccepting() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

void HttpListener::Close() {
  closing_ = true;
  StopAccepting();
  sweep_timer_.cancel();
  for (HttpConnection* connection : connections_) connection->Close();
}

}  // namespace reprise

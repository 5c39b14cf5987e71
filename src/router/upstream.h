#pragma once

// Connections from the router to replicas, and one request over one of them: HTTP/1.1 without TLS,
// kept open between requests. A connection that is dropped in the middle of a request is closed,
// by which the replica sees that nobody waits for it any more. I/O thread only; UpstreamPool
// outlives what was taken from it.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "router/replica.h"
#include "router/reply_parser.h"

namespace reprise {

class UpstreamConnection {
 public:
  UpstreamConnection(boost::asio::ip::tcp::socket socket, bool reused)
      : socket_(std::move(socket)), reused_(reused) {}

  // Sends a whole request, header and body as they go over the wire, and reads the head of what
  // comes back, interim responses skipped. kIo when the replica is gone: nothing of a response has
  // been taken from it then.
  boost::asio::awaitable<Result<ReplyHead>> Ask(std::string head, const std::string& body,
                                                bool head_only);
  // Bytes of the body, as they come; empty at its end. kIo: it ends in the middle.
  boost::asio::awaitable<Result<std::string>> ReadBody();
  // Has been used before: when Ask fails, the replica may only have closed it meanwhile.
  bool reused() const { return reused_; }
  // Ends what is going on; a coroutine that waits in Ask or ReadBody gets kIo.
  void Close();

 private:
  friend class UpstreamPool;
  boost::asio::awaitable<bool> ReadMore();

  boost::asio::ip::tcp::socket socket_;
  const bool reused_;
  std::string inbox_;        // read, not yet parsed
  std::vector<char> space_;  // of one reading
  std::unique_ptr<ReplyParser> parser_;
  bool ended_ = false;  // the replica has closed
};

// Of one replica.
class UpstreamPool {
 public:
  UpstreamPool(boost::asio::any_io_executor io, ReplicaAddress address)
      : io_(std::move(io)), address_(std::move(address)) {}

  // One that is open, or else a fresh one. kIo when none is to be had in
  // limits::kConnectTimeoutMs; kOverloaded when the router itself can have no more.
  boost::asio::awaitable<Result<std::unique_ptr<UpstreamConnection>>> Connect(bool fresh = false);
  // Keeps it for another request, if the response was read to its end and both sides go on.
  void GiveBack(std::unique_ptr<UpstreamConnection> connection);
  // Closes what waits here.
  void Clear() { idle_.clear(); }

 private:
  struct Idle {
    boost::asio::ip::tcp::socket socket;
    TimePoint since;
  };

  std::optional<boost::asio::ip::tcp::socket> TakeIdle();

  const boost::asio::any_io_executor io_;
  const ReplicaAddress address_;
  std::vector<Idle> idle_;  // the latest last
};

}  // namespace reprise

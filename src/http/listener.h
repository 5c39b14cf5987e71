#pragma once

// Listens on one address, accepts connections within the limits, and closes those whose deadline
// has passed. Knows no paths; what is done with a request is the handlers' matter. All but Listen
// on the I/O thread of `io`.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <string>
#include <unordered_set>

#include "base/error.h"
#include "base/limits.h"
#include "http/connection.h"

namespace reprise {

class HttpListener {
 public:
  HttpListener(boost::asio::io_context& io, HttpHandlers handlers);
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  // Binds and listens; port 0 is any free one. kInvalidArgument when it is no address, kIo when it
  // is taken or not ours. Before the I/O thread runs. Raises the limit of open files to what
  // connections need, and to so many more.
  Status Listen(const std::string& host, int port, size_t more_files = limits::kOtherFiles);
  // Accepts from now on.
  void Start();
  void StopAccepting();
  // Closes everything, and accepts nothing any more.
  void Close();

  int port() const { return port_; }
  size_t open_connections() const { return connections_.size(); }
  uint64_t accepted_connections() const { return accepted_; }

 private:
  boost::asio::awaitable<void> Accept();
  bool RefuseOne(const boost::system::error_code& failure);
  boost::asio::awaitable<void> Converse(boost::asio::ip::tcp::socket socket);
  boost::asio::awaitable<void> Sweep();

  boost::asio::io_context& io_;
  const HttpHandlers handlers_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer sweep_timer_;
  std::unordered_set<HttpConnection*> connections_;
  uint64_t accepted_ = 0;
  TimePoint warned_;  // last, that none could be accepted
  int spare_file_;    // -1: none
  bool closing_ = false;
  int port_ = 0;
};

}  // namespace reprise

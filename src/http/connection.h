#pragma once

// One TCP connection speaking HTTP/1.1: reads requests within the limits, hands each to the
// handler, writes what the handler answers, and goes on while both sides want to. Knows no paths,
// and not what a body holds.
//
// Who asks is decided as soon as the header is there. Whoever may not is handed to the handler
// without a body, and the connection is closed unless there was none to read.
//
// While a handler runs the socket is read as well, so that a client that goes away is noticed at
// once: the handler's coroutine is then cancelled, and what it holds cancels the engine. What a
// pipelining client sends meanwhile is kept for later, up to limits::kMaxHeaderBytes. A client that
// only closes its sending half gets its answer (RFC 9112, 9.6).
//
// Lives in the coroutine that runs it; I/O thread only.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory_budget.h"
#include "http/identity.h"
#include "http/message.h"

namespace reprise {

class HttpConnection;

// What a server does with connections. All on the I/O thread.
struct HttpHandlers {
  // For bodies while they come in and until they are answered.
  MemoryBudget& memory;
  // Who asks, by the header alone.
  std::function<Result<Identity>(const HttpRequest& head)> authenticate;
  // Answers one request. Its coroutine is cancelled when the client goes away.
  std::function<boost::asio::awaitable<void>(HttpRequest, HttpConnection&)> handle;
  // The answer to what no handler sees: a request that cannot be read, a handler that failed.
  // `path` is empty where it is unknown.
  std::function<HttpResponse(const Error& error, std::string_view path)> refuse;
  bool keep_fields = false;  // requests keep all fields of their header, to be passed on
};

class HttpConnection {
 public:
  // REQUIRES: the handlers outlive it.
  HttpConnection(boost::asio::ip::tcp::socket socket, const HttpHandlers& handlers);

  // Until the connection is closed; never throws.
  boost::asio::awaitable<void> Run();

  // For the handler: one Send, or BeginStream, any number of SendChunk, EndStream. False: the
  // client is gone or does not read; stop. A stream whose length was told has as many bytes; one
  // that cannot have them, or end, is cut by Close.
  boost::asio::awaitable<bool> Send(HttpResponse response);
  boost::asio::awaitable<bool> BeginStream(HttpResponse head);
  boost::asio::awaitable<bool> SendChunk(std::string data);
  boost::asio::awaitable<bool> EndStream();
  // What was answered, 0 when nothing has been.
  int status() const { return status_; }

  // For the server: when the current wait must be over; a connection past it is closed.
  TimePoint deadline() const { return deadline_; }
  void Close();

 private:
  // What became of reading a request: it, an error to answer before closing, or neither (gone).
  struct Incoming {
    std::optional<HttpRequest> request;
    std::optional<Error> error;
    std::string path;  // of the error, where it is known
  };

  boost::asio::awaitable<Incoming> ReadRequest();
  // Says who sent a request whose header is complete, or why it is refused.
  void Authenticate(HttpRequest& head) const;
  boost::asio::awaitable<bool> ReadMore(size_t bytes);
  boost::asio::awaitable<bool> Serve(HttpRequest request);
  boost::asio::awaitable<void> CallHandler(HttpRequest request, bool& failed);
  boost::asio::awaitable<void> WatchForClose();
  void Probe();
  boost::asio::awaitable<void> Linger();
  boost::asio::awaitable<bool> Write(std::string_view data);
  std::string Head(const HttpResponse& response, std::optional<size_t> length) const;

  boost::asio::ip::tcp::socket socket_;
  const HttpHandlers& handlers_;
  boost::beast::flat_buffer inbox_;  // read, not yet parsed
  bool no_more_input_ = false;       // the client has closed its sending half, or all
  bool writing_ = false;
  TimePoint deadline_ = TimePoint::max();
  // Of the request being answered:
  int status_ = 0;
  bool keep_alive_ = true;
  bool head_only_ = false;  // HEAD
  bool chunked_ = true;
  bool sized_ = false;  // the stream's length was told
};

}  // namespace reprise

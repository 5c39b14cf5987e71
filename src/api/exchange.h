#pragma once

// One request being answered: the handler's view of it, and the line of the log and the counts that
// are written when it ends, however it ends. Lives in the handler's coroutine; I/O thread only.

#include <boost/asio/awaitable.hpp>
#include <string>

#include "api/service.h"
#include "http/connection.h"
#include "http/identity.h"
#include "http/message.h"
#include "http/route.h"

namespace reprise {

// What a completion took; part of the log line when prompt_tokens is not 0.
struct CompletionFigures {
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int written_tokens = 0;
  int computed_tokens = 0;   // in fact, also where the request did not come to its end, …
  int generated_tokens = 0;  // … and for all of its choices
  double queue_ms = 0, prefill_ms = 0, decode_ms = 0;
  double ttft_ms = 0;
};

class Exchange {
 public:
  Exchange(HttpRequest received, HttpConnection& on, Service& of, const Route& route);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Each adds x-request-id, the vendor's own header for it, and what a web page's browser needs. An
  // error has the shape of the path's vendor.
  boost::asio::awaitable<bool> Send(HttpResponse response);
  boost::asio::awaitable<bool> SendJson(std::string body);
  boost::asio::awaitable<bool> SendError(Error error);
  boost::asio::awaitable<bool> BeginStream(HttpResponse head);
  // A stream of server-sent events that is no reply. False: there is nothing more to send, since
  // the client has gone or only wanted the head.
  boost::asio::awaitable<bool> BeginEvents();

  // For work on the body, also after it has been moved away.
  WorkOrder Order() const { return {identity.tenant, body_bytes_, request.memory}; }
  const std::string& id() const { return id_; }
  double ElapsedMs() const;  // since the header was complete

  HttpRequest request;
  const Identity identity;  // who asks
  HttpConnection& connection;
  Service& service;
  CompletionFigures figures;
  bool completed = false;  // the whole answer was handed over

 private:
  void AddHeaders(HttpResponse& response) const;

  const std::string_view route_;  // its path, or "other"
  const bool quiet_;              // the line is for debugging only
  const std::string id_;
  const size_t body_bytes_;
};

}  // namespace reprise

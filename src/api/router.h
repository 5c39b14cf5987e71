#pragma once

// Which handler answers which method and path. Immutable; any thread.

#include <boost/asio/awaitable.hpp>
#include <string_view>

#include "api/exchange.h"

namespace reprise {

struct Route {
  std::string_view method;
  std::string_view path;  // ends in '/': what follows is a name that the handler reads
  boost::asio::awaitable<void> (*handler)(Exchange&);
  bool quiet = false;  // polled by machines: logged for debugging only
  bool admin = false;  // concerns every tenant: for administrators' keys only
};

// Answers one request: what the gate refused with its refusal; the route's handler, HEAD as GET,
// 404 for an unknown path and 405 for a wrong method in the vendor's shape.
boost::asio::awaitable<void> Dispatch(HttpRequest request, HttpConnection& connection,
                                      Service& service);

}  // namespace reprise

#pragma once

// The table of routes: which handler answers which method and path, and whose errors a path has.
// Immutable; any thread.

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "api/exchange.h"
#include "vendor/wire_endpoint.h"

namespace reprise {

// The path that is meant where a client or a gateway has put it together otherwise: slashes twice
// or at the end, "/v1" twice or not at all. Others come back as they are.
std::string NormalPath(std::string_view path);

// Whose shape errors have on `path`: a vendor's on its own paths, OpenAI's on all others.
const WireForm& WireFormOf(std::string_view path);

// Answers one request: with its refusal, if the connection refused it; by the route's handler, HEAD
// as GET; 404 for an unknown path and 405 for a wrong method, in the vendor's shape.
boost::asio::awaitable<void> Dispatch(HttpRequest request, HttpConnection& connection,
                                      Service& service);

}  // namespace reprise

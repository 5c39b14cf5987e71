#pragma once

// GET /cache/requests and /cache/requests/{id}: what became of a tenant's last requests, and why
// one was not read from the cache (docs/api.md). An id that is unknown and one of another tenant
// get the same 404. I/O thread only.

#include <boost/asio/awaitable.hpp>
#include <boost/json.hpp>

#include "api/exchange.h"

namespace reprise {

// An entry of the list. REQUIRES: the asker may see it.
boost::json::object RequestSummary(const PastRequest& request, const Service& service,
                                   const Identity& asker);
boost::asio::awaitable<void> HandlePastRequests(Exchange& exchange);
boost::asio::awaitable<void> HandlePastRequest(Exchange& exchange);

}  // namespace reprise

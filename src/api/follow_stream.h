#pragma once

// GET /cache/events: which blocks this server holds and how busy it is, as server-sent events for
// as long as the client stays (docs/api.md). I/O thread only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleFollow(Exchange& exchange);

}  // namespace reprise

#pragma once

// GET /cache/watch: what happens, as server-sent events for as long as the client stays
// (docs/api.md). I/O thread only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleWatch(Exchange& exchange);

}  // namespace reprise

#pragma once

// What the cache holds, and dropping it. I/O thread only.

#include <boost/asio/awaitable.hpp>
#include <boost/json.hpp>

#include "api/exchange.h"

namespace reprise {

// The body of GET /cache: an administrator sees everything and every tenant, others their own
// tenant only and nothing that depends on others.
boost::json::object CacheJson(const EngineSnapshot& snapshot, const Identity& identity);
// GET /cache
boost::asio::awaitable<void> HandleCache(Exchange& exchange);
// DELETE /cache
boost::asio::awaitable<void> HandleFlush(Exchange& exchange);

}  // namespace reprise

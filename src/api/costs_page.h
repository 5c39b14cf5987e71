#pragma once

// GET /prices and /cache/costs: vendors' price sheets, and what the tenant's last requests would
// have cost by them (docs/api.md). I/O thread only; the reckoning is done by a worker.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandlePrices(Exchange& exchange);
boost::asio::awaitable<void> HandleCosts(Exchange& exchange);

}  // namespace reprise

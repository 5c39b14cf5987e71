#pragma once

// What an operator or a tool asks of the server itself. Shapes of /props and /v1/models as
// llama-server's where it has them, so that tools made for it work. I/O thread only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleHealth(Exchange& exchange);
boost::asio::awaitable<void> HandleMetrics(Exchange& exchange);
boost::asio::awaitable<void> HandleProps(Exchange& exchange);
boost::asio::awaitable<void> HandleModels(Exchange& exchange);
boost::asio::awaitable<void> HandleModel(Exchange& exchange);

}  // namespace reprise

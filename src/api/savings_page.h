#pragma once

// GET /savings and GET /cache/series: what the cache spared, in sum and over time (docs/api.md). An
// administrator sees all, others their own. I/O thread only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleSavings(Exchange& exchange);
boost::asio::awaitable<void> HandleSeries(Exchange& exchange);

}  // namespace reprise

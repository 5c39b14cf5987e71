#pragma once

// The page that browsers get, and what programs find in its place. I/O thread only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

// GET /: the page where a browser asks, and for programs JSON that says what is served here.
boost::asio::awaitable<void> HandleIndex(Exchange& exchange);
// GET /page/NAME
boost::asio::awaitable<void> HandlePageFile(Exchange& exchange);

}  // namespace reprise

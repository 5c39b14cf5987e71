#pragma once

// Every endpoint that generates, streamed and whole: reads the call on a worker thread in the
// vendor's form and runs it (completion_run.h). POST /v1/messages/count_tokens counts only. I/O
// thread only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"
#include "vendor/wire_endpoint.h"

namespace reprise {

boost::asio::awaitable<void> HandleCompletion(Exchange& exchange, const WireEndpoint& endpoint);
boost::asio::awaitable<void> HandleCountTokens(Exchange& exchange);

}  // namespace reprise

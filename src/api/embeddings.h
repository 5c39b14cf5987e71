#pragma once

// POST /v1/embeddings: reads the inputs on a worker thread, has the engine compute each, and
// answers when all are there. I/O thread only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleEmbeddings(Exchange& exchange);

}  // namespace reprise

#pragma once

// POST /tokenize, /detokenize and /apply-template: the text layer over HTTP, in llama-server's
// shapes. The work is done on a worker thread.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleTokenize(Exchange& exchange);
boost::asio::awaitable<void> HandleDetokenize(Exchange& exchange);
boost::asio::awaitable<void> HandleApplyTemplate(Exchange& exchange);

}  // namespace reprise

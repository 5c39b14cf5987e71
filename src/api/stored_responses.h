#pragma once

// GET and DELETE /v1/responses/{id}: responses that were stored for this tenant.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleResponse(Exchange& exchange);
boost::asio::awaitable<void> HandleDeleteResponse(Exchange& exchange);

}  // namespace reprise

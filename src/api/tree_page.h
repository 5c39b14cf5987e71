#pragma once

// The pages of the prefix tree: what it holds, by the parts of requests; one node with its text;
// and, for administrators, letting a node go or keeping it. A tenant's key sees its own scopes
// alone, and nothing else is of them than would be if it were alone.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleTree(Exchange& exchange);          // GET /cache/tree
boost::asio::awaitable<void> HandleTreeNode(Exchange& exchange);      // GET /cache/tree/{id}
boost::asio::awaitable<void> HandleDropTreeNode(Exchange& exchange);  // DELETE /cache/tree/{id}
boost::asio::awaitable<void> HandleKeepTreeNode(Exchange& exchange);  // POST /cache/tree/{id}/keep

}  // namespace reprise

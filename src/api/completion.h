#pragma once

// POST /v1/chat/completions, /v1/completions and /v1/messages, streamed and whole: each reads its
// call on the worker thread and runs it (completion_run.h). POST /v1/messages/count_tokens counts
// only. I/O thread only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleChatCompletion(Exchange& exchange);
boost::asio::awaitable<void> HandleTextCompletion(Exchange& exchange);
boost::asio::awaitable<void> HandleMessages(Exchange& exchange);
boost::asio::awaitable<void> HandleCountTokens(Exchange& exchange);

}  // namespace reprise

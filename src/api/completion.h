#pragma once

// POST /v1/chat/completions and POST /v1/completions, streamed and whole: reads the call, runs it,
// shows the events as they come. The header of the response waits until the prompt has been looked
// up, so that errors before that have a proper status and x-reprise-cache is known. I/O thread
// only.

#include <boost/asio/awaitable.hpp>

#include "api/exchange.h"

namespace reprise {

boost::asio::awaitable<void> HandleChatCompletion(Exchange& exchange);
boost::asio::awaitable<void> HandleTextCompletion(Exchange& exchange);

}  // namespace reprise

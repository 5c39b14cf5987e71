#pragma once

// OpenAI's endpoints that generate, and how its errors look: the values that the table of routes
// takes from here. Constant; any thread.

#include "vendor/wire_endpoint.h"

namespace reprise {

extern const WireForm kOpenAi;
extern const WireEndpoint kChatCompletions;  // POST /v1/chat/completions
extern const WireEndpoint kTextCompletions;  // POST /v1/completions

}  // namespace reprise

#pragma once

// Anthropic's endpoint that generates, and how its errors look: the values that the table of routes
// takes from here. Constant; any thread.

#include "vendor/wire_endpoint.h"

namespace reprise {

extern const WireForm kAnthropic;
extern const WireEndpoint kMessages;  // POST /v1/messages

}  // namespace reprise

#pragma once

// The endpoint of OpenAI's Responses API that generates: the value that the table of routes takes
// from here. Its errors are OpenAI's. Constant; any thread.

#include "vendor/wire_endpoint.h"

namespace reprise {

extern const WireEndpoint kResponses;  // POST /v1/responses

}  // namespace reprise

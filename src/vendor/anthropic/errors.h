#pragma once

// Anthropic's shape of an error:
//   {"type":"error","error":{"type","message"},"request_id"}
// Pure; any thread.

#include <string>

#include "vendor/error_reply.h"

namespace reprise {

// `request_id` may be empty.
ErrorReply AnthropicError(const Error& error, const std::string& request_id);

}  // namespace reprise

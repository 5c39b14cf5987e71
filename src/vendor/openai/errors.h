#pragma once

// OpenAI's shape of an error, which every path has that is no other vendor's:
//   {"error":{"message","type","param","code"}}
// Pure; any thread.

#include <string>

#include "vendor/error_reply.h"

namespace reprise {

ErrorReply OpenAiError(const Error& error, const std::string& request_id);

}  // namespace reprise

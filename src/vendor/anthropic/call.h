#pragma once

// Calls of POST /v1/messages and /v1/messages/count_tokens, understood. What the vendor's API has
// and this server does not need (metadata, context_management, betas, …) is not looked at. Free
// functions over immutable parts; any thread.

#include <cstddef>
#include <string_view>

#include "base/error.h"
#include "vendor/call.h"
#include "vendor/served_model.h"

namespace reprise {

// A `seed` in the body is ours: the vendor has none.
Result<Call> ReadMessagesCall(std::string_view body, const Caller& caller,
                              const ServedModel& model);

// Tokens of the whole prompt.
Result<size_t> CountMessageTokens(std::string_view body, const Caller& caller,
                                  const ServedModel& model);

}  // namespace reprise

#pragma once

// The one place where an Error becomes an answer: in the shape of the vendor whose path it is
// (routes.h says which). Pure; any thread.

#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"

namespace reprise {

// `path` and `request_id` may be empty.
HttpResponse ErrorResponse(const Error& error, std::string_view path,
                           const std::string& request_id);

}  // namespace reprise

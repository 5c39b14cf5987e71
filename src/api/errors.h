#pragma once

// The one place where an Error becomes an HTTP status and a vendor's error body. Values; any
// thread.
//
// What has no ErrorCode because it is a matter of HTTP alone (wrong method, header too large, …) is
// a Fault from the start. Another vendor's shape is another function beside OpenAiErrorBody.

#include <string>
#include <string_view>

#include "api/http_message.h"
#include "base/error.h"

namespace reprise {

struct Fault {
  int status = 500;
  std::string type;       // "invalid_request_error", …
  std::string code;       // null in the body when empty
  std::string message;    // one sentence
  std::string param;      // null in the body when empty
  int retry_after_s = 0;  // header Retry-After when positive
};

Fault ToFault(const Error& error);
// {"error":{"message","type","param","code"}}
std::string OpenAiErrorBody(const Fault& fault);
// The whole answer, in that shape.
HttpResponse FaultResponse(const Fault& fault);

}  // namespace reprise

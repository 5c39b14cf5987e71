#pragma once

// The one place where an Error becomes an HTTP status and a vendor's error body: Anthropic's on the
// paths of its API, OpenAI's on all others. Values; any thread.
//
// What has no ErrorCode because it is a matter of HTTP alone (wrong method, header too large, …) is
// a Fault from the start.

#include <cstdint>
#include <string>
#include <string_view>

#include "api/http_message.h"
#include "base/error.h"

namespace reprise {

enum class Vendor : uint8_t { kOpenAi, kAnthropic };
Vendor VendorOf(std::string_view path);

struct Fault {
  int status = 500;
  std::string type;       // "invalid_request_error", …
  std::string code;       // null in the body when empty
  std::string message;    // one sentence
  std::string param;      // null in the body when empty
  int retry_after_s = 0;  // header Retry-After when positive
  int anthropic_status = 500;
  std::string anthropic_type = "api_error";
};

Fault ToFault(const Error& error);
// {"error":{"message","type","param","code"}}
std::string OpenAiErrorBody(const Fault& fault);
// {"type":"error","error":{"type","message"},"request_id"}
std::string AnthropicErrorBody(const Fault& fault, const std::string& request_id);
// The whole answer, in the shape that clients of `path` expect. `request_id` may be empty.
HttpResponse FaultResponse(const Fault& fault, std::string_view path,
                           const std::string& request_id);

}  // namespace reprise

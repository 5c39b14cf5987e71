#include "api/error_response.h"

#include <utility>

#include "api/routes.h"

namespace reprise {

HttpResponse ErrorResponse(const Error& error, std::string_view path,
                           const std::string& request_id) {
  ErrorReply reply = WireFormOf(path).error(error, request_id);
  HttpResponse response;
  response.status = reply.status;
  response.body = std::move(reply.body);
  if (reply.retry_after_s > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(reply.retry_after_s));
  }
  if (response.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace reprise

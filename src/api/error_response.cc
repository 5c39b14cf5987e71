#include "api/error_response.h"

#include <utility>

#include "api/routes.h"

namespace reprise {

HttpResponse ErrorResponse(const Error& error, std::string_view path,
                           const std::string& request_id) {
  ErrorReply reply = WireFormOf(path).error(error, request_id);
  return ErrorMessage(reply.status, std::move(reply.body), reply.retry_after_s);
}

}  // namespace reprise

#include "http/message.h"

namespace reprise {

HttpResponse ErrorMessage(int status, std::string body, int retry_after_s) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  if (retry_after_s > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(retry_after_s));
  }
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace reprise

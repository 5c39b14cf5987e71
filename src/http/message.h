#pragma once

// A request as read from a connection and a response as it is written to one. Values.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "http/identity.h"

namespace reprise {

// Fields of a header that may hold a key. Never logged, and kept only until they have been looked
// at.
struct HttpCredentials {
  std::vector<std::string> api_keys;        // x-api-key
  std::vector<std::string> authorizations;  // Authorization
};

struct HttpRequest {
  std::string method;
  std::string path;   // without the query
  std::string query;  // without the question mark
  std::string body;
  bool keep_alive = false;
  bool chunks_allowed = true;  // HTTP/1.1
  TimePoint received;          // when its header was complete
  HttpCredentials credentials;
  Identity identity;             // who asks
  std::optional<Error> refusal;  // then the body has not been read: answer this
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

}  // namespace reprise

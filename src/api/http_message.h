#pragma once

// A request as read from a connection and a response as it is written to one. Values.

#include <string>
#include <utility>
#include <vector>

#include "api/identity.h"
#include "base/clock.h"

namespace reprise {

struct HttpRequest {
  std::string method;
  std::string path;   // without the query
  std::string query;  // without the question mark
  std::string body;
  bool keep_alive = false;
  bool chunks_allowed = true;  // HTTP/1.1
  TimePoint received;          // when its header was complete
  Identity identity;           // who asks
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

}  // namespace reprise

#pragma once

// A request as read from a connection and a response as it is written to one. Values.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory_budget.h"
#include "http/identity.h"

namespace reprise {

// Fields of a header that may hold a key. Never logged, and kept only until they have been looked
// at.
struct HttpCredentials {
  std::vector<std::string> api_keys;        // x-api-key
  std::vector<std::string> authorizations;  // Authorization
};

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string host;   // "name:port", as the client says it; may be empty
  std::string path;   // without the query
  std::string query;  // without the question mark
  std::string content_type;
  std::optional<std::string> origin;  // of the web page that asks, as a browser says it
  bool preflight = false;             // a browser's question whether that page may ask …
  std::string preflight_headers;      // … with these header fields
  std::string body;
  bool wants_html = false;            // a browser that opens an address
  bool of_anthropics_client = false;  // the header anthropic-version is there
  bool keep_alive = false;
  bool chunks_allowed = true;  // HTTP/1.1
  TimePoint received;          // when its header was complete
  HttpFields fields;           // all of its header, credentials too, for who passes them on
  HttpCredentials credentials;
  Identity identity;                    // who asks
  std::optional<Error> refusal;         // then the body has not been read: answer this
  std::shared_ptr<MemoryShare> memory;  // counts what the request holds: body, work, reply
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  HttpFields headers;
  // Another server's, passed on: `headers` are all that it said, Content-Type and Server too.
  bool passed_on = false;
  std::optional<uint64_t> length = {};  // of the body of a stream, where it is known
};

// An error with its body, and the header fields that belong to its status. Retry-After: when
// positive.
HttpResponse ErrorMessage(int status, std::string body, int retry_after_s);

}  // namespace reprise

#pragma once

// Which web pages may use this server. A page of any site can send requests to a server on its
// reader's own machine, and with a name of its own that it lets point there (DNS rebinding) it can
// read the answers too. So on loopback the Host must be this machine's, and a page's Origin the
// server's own, unless the operator names others. Programs that are no browsers send no Origin.
// Pure; any thread.

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "http/message.h"

namespace reprise {

// Whether a server that listens on this address can be reached from this machine only.
bool IsLoopbackAddress(const std::string& host);

struct OriginPolicy {
  bool loopback = true;  // only this machine can reach the server
  std::vector<std::string> hosts =
      {};  // --allow-host: further names; any, where it is not loopback
  std::vector<std::string> origins = {};  // --allow-origin: "https://chat.example", or "*" for all
};

// kForeignOrigin naming the option that would allow it.
Status CheckOrigin(const HttpRequest& head, const OriginPolicy& policy);

// What the response to a page that was let in says, so that the browser shows it to the page (Fetch
// standard, 3.3 CORS protocol); empty where no page asks. For a preflight also what may be sent.
std::vector<std::pair<std::string, std::string>> CorsHeaders(const HttpRequest& request);

}  // namespace reprise

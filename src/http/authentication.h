#pragma once

// Who a request comes from, decided on its header alone, so that nobody without a key makes the
// server read a body. Pure; any thread.

#include <string>

#include "base/error.h"
#include "http/api_keys.h"
#include "http/identity.h"
#include "http/message.h"

namespace reprise {

// Without keys configured (null) everyone is the one tenant's administrator. With keys, the one in
// x-api-key or behind "Bearer" in Authorization decides; where both name one they must agree. GET
// and HEAD of /, /page/… and /health are answered without: load balancers and clients look whether
// a server is there, and a browser gets the page (no data of anybody's) before it can ask for a
// key. kUnauthorized otherwise; no message repeats what was sent.
Result<Identity> Authenticate(const HttpRequest& head, const ApiKeys* keys);

// Whether `token`, which is not empty, stands behind "Bearer" in Authorization of a request for
// what this server holds (GET /cache/events). Takes as long wherever they differ.
bool ShowsFleetToken(const HttpRequest& head, const std::string& token);

}  // namespace reprise

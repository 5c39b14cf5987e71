#pragma once

// Which fields of a message's header are passed on by a proxy (RFC 9110, 7.6.1), and how a request
// goes on to a replica. Pure; any thread.

#include <string>
#include <string_view>

#include "http/message.h"
#include "router/replica.h"

namespace reprise {

// All but those between two hops, and Content-Length, which who sends the body on says anew.
bool IsPassedOn(const HttpFields& fields, std::string_view name);

// Of a reply: those but the ones that tell browsers which pages may read it, which is decided here.
bool IsPassedBack(const HttpFields& fields, std::string_view name);

// The header as it goes over the wire: with the replica's own Host, and without Origin, since the
// page that asks, if one does, was let in or refused here. `uncompressed`: without Accept-Encoding
// too, so that what replies say of usage can be read.
std::string PassedRequest(const HttpRequest& request, const Replica& replica, bool uncompressed);

}  // namespace reprise

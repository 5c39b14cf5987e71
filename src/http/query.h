#pragma once

// What stands behind a target's question mark (RFC 3986, 3.4), as browsers write it: name=value
// joined by &. Pure.

#include <optional>
#include <string>
#include <string_view>

namespace reprise {

// Decoded; of the first of that name. nullopt: there is none, or the query is malformed.
std::optional<std::string> QueryValue(std::string_view query, std::string_view name);

}  // namespace reprise

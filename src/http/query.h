#pragma once

// The fields of a target's query, "text=true&from=5000". Pure.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace reprise {

// The first field of that name, with %XX and + decoded; empty if it has no value; nullopt if there
// is none. What is no valid %XX stays as it is.
std::optional<std::string> QueryField(std::string_view query, std::string_view name);
// The same as a whole number; `absent` if there is none. kInvalidArgument naming the field.
Result<size_t> QueryNumber(std::string_view query, std::string_view name, size_t absent);

}  // namespace reprise

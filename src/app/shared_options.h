#pragma once

// Options that several commands have alike, and times as the command line takes them.

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>

#include "base/clock.h"
#include "http/web_origin.h"

namespace reprise {

// Of an option that takes a time such as 90s, 10m or 1h; its number is in seconds.
CLI::AsNumberWithUnit AsSeconds();
double InSeconds(Duration duration);
Duration FromSeconds(double seconds);

// --tool-format NAME; `what` comes before the names.
void AddToolFormat(CLI::App& command, std::string& name, const std::string& what);
// --request-memory, --allow-host, --allow-origin: what clients may hold, and which web pages may be
// clients.
void AddDefences(CLI::App& command, size_t& request_memory, OriginPolicy& origins);
// What --request-memory is where it is not given.
size_t DefaultRequestMemory();

}  // namespace reprise

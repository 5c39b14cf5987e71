#pragma once

// How a program that serves is told to stop, by SIGINT or SIGTERM, and to read its keys again, by
// SIGHUP.

#include <signal.h>

#include <functional>
#include <string>

#include "http/api_keys.h"

namespace reprise {

// SIGINT, SIGTERM and SIGHUP are blocked before any thread starts and awaited by AwaitStop.
sigset_t BlockSignals();

// Until SIGINT or SIGTERM, which the log says; SIGHUP only calls `reload`. Another signal to stop
// after that ends the process at once.
void AwaitStop(const sigset_t& signals, const std::function<void()>& reload);

// Reads `file` (empty: none) and hands over what it holds. One line in the log, whatever comes of
// it.
void ReloadKeys(const std::string& file, const std::function<void(ApiKeys)>& replace);

}  // namespace reprise

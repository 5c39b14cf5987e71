#pragma once

// How pages show a time: as "time" (ISO 8601, UTC, milliseconds) and as "seconds_ago". Pure.

#include <boost/json.hpp>

#include "history/history.h"

namespace reprise {

void AddTime(WallTime time, WallTime now, boost::json::object& into);

}  // namespace reprise

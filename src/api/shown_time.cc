#include "api/shown_time.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>

namespace reprise {

void AddTime(WallTime time, WallTime now, boost::json::object& into) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(ms);
  into["time"] =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                  fmt::gmtime(static_cast<std::time_t>(seconds.count())), (ms - seconds).count());
  const auto ago = std::chrono::duration_cast<std::chrono::milliseconds>(now - time);
  into["seconds_ago"] = static_cast<double>(ago.count()) / 1000;
}

}  // namespace reprise

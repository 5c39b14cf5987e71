#pragma once

// Lets what one tenant asks of the engine's thread begin no sooner than a pause after what it asked
// before, so that nobody holds up others' tokens by looking all the time. A value; I/O thread.

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"

namespace reprise {

class Turns {
 public:
  // More than `longest` nobody waits.
  Turns(Duration pause, Duration longest) : pause_(pause), longest_(longest) {}

  // When the tenant's next question may begin; it is its turn then. nullopt: it would have to wait
  // for too long, and has no turn.
  std::optional<TimePoint> Take(const std::string& tenant, TimePoint now) {
    std::erase_if(next_, [now](const auto& entry) { return entry.second <= now; });
    TimePoint& next = next_.try_emplace(tenant, now).first->second;
    if (next - now > longest_) return std::nullopt;
    const TimePoint turn = next;
    next = turn + pause_;
    return turn;
  }

 private:
  Duration pause_;
  Duration longest_;
  std::map<std::string, TimePoint> next_;  // of tenants that asked within the pause
};

}  // namespace reprise

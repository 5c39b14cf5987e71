#pragma once

// What became of a cached block that is cached no more. A plain value, for diagnosis.

#include <cstdint>

#include "base/clock.h"
#include "base/ids.h"

namespace reprise {

enum class LossCause : uint8_t {
  kEvicted,  // for room
  kExpired,  // idle for the retention, and nothing promised it (any more)
  kFlushed,
};

struct Loss {
  LossCause cause = LossCause::kEvicted;
  TimePoint when;
  SequenceId for_whom;  // kEvicted: the sequence that took the room; 0: nobody said

  bool operator==(const Loss&) const = default;
};

}  // namespace reprise

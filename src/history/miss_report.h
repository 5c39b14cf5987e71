#pragma once

// Why a prompt was not read from the cache: the earlier request that it shares most with, how far,
// and what became of what they share. Computed from the history when somebody
// asks. Pure functions; whoever holds the history.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "history/history.h"
#include "history/reuse_outcome.h"
#include "prompt/prompt_parts.h"
#include "text/tokenizer.h"

namespace reprise {

struct MissReport {
  const PastRequest* closest = nullptr;
  size_t closest_prompt = 0;
  size_t shared = 0;  // tokens
  size_t read = 0;
  ReuseOutcome outcome = ReuseOutcome::kNothingShared;
  std::optional<CacheLoss> loss;  // of kEvicted, kExpired, kFlushed
};

enum class Seen : uint8_t { kOwnTenant, kAllTenants };

// Of one prompt of a request that is in the history and has been looked up.
MissReport ExplainMiss(const History& history, const PastRequest& request, size_t prompt,
                       Seen seen);

}  // namespace reprise

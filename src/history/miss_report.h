#pragma once

// Why a prompt was not read from the cache: the earlier request that it shares most with, how far,
// and what became of what they share. Computed from the history when somebody
// asks. Pure functions; whoever holds the history.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "history/history.h"
#include "prompt/prompt_parts.h"
#include "text/tokenizer.h"

namespace reprise {

// What became of the tokens that two requests share.
enum class ReuseOutcome : uint8_t {
  kHit,            // all were read
  kNothingShared,  // there is no earlier request that it shares a token with
  kEvicted,
  kExpired,
  kFlushed,
  kNoSnapshot,     // K and V are cached, but the recurrent state was kept at fewer tokens only
  kOtherCacheKey,  // they are cached under another cache key of the tenant
  kOtherTenant,    // in another tenant's; told to administrators only
  kNotCached,      // one of the two is not to be cached, or the earlier one was never computed
  kComputing,      // the earlier one was still being computed
  kUnknown,        // no record any more
};
std::string_view ToText(ReuseOutcome outcome);

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

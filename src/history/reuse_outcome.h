#pragma once

// What became of what a request shares with the earlier one that is closest to it. A value.

#include <cstdint>
#include <string_view>

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

}  // namespace reprise

#pragma once

// Why a prompt was not read from the cache: the earlier request that it shares most with, how far,
// where the two part, and what became of what they share. Computed from the history when somebody
// asks. Pure functions; whoever holds the history.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "api/history.h"
#include "api/prompt_parts.h"
#include "text/tokenizer.h"

namespace reprise {

// What became of the tokens that two requests share.
enum class ShareFate : uint8_t {
  kHit,            // all were read
  kNothingShared,  // there is no earlier request that it shares a token with
  kEvicted,
  kExpired,
  kFlushed,
  kOtherCacheKey,  // they lie in another population of the same tenant
  kOtherTenant,    // in another tenant's; told to administrators only
  kNotCached,      // one of the two is not to be cached, or the earlier one was never computed
  kComputing,      // the earlier one was still being computed
  kUnknown,        // no record any more
};
std::string_view ToText(ShareFate fate);

struct MissReport {
  const PastRequest* closest = nullptr;
  size_t closest_prompt = 0;
  size_t shared = 0;  // tokens
  size_t read = 0;
  ShareFate fate = ShareFate::kNothingShared;
  std::optional<CacheLoss> loss;  // of kEvicted, kExpired, kFlushed
};

enum class Seen : uint8_t { kOwnTenant, kAllTenants };

// Of one prompt of a request that is in the history and has been looked up.
MissReport ExplainMiss(const History& history, const PastRequest& request, size_t prompt,
                       Seen seen);

// Where two prompts part, by characters: also inside a token that differs.
struct PartingPlace {
  struct Side {
    PartName part;
    size_t offset = 0;    // in characters of the part's text; 0 in the template's words before it
    std::string excerpt;  // around the place, whole characters; empty if the prompt ends there
  };
  size_t token = 0;
  Side ours;
  Side theirs;
};
// nullopt if they are equal.
std::optional<PartingPlace> FindParting(const PastPrompt& ours, const PastPrompt& theirs,
                                        const Tokenizer& tokenizer);
// The part alone, as it is called on the side that says more there.
PartName PartingPart(const PartingPlace& place);

}  // namespace reprise

#include "history/miss_report.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/common_tokens.h"

namespace reprise {
namespace {

using State = PastRequest::State;

bool Ended(const PastRequest& request) {
  return request.state != State::kQueued && request.state != State::kComputing;
}

ReuseOutcome OutcomeOfLoss(LossCause cause) {
  switch (cause) {
    case LossCause::kEvicted:
      return ReuseOutcome::kEvicted;
    case LossCause::kExpired:
      return ReuseOutcome::kExpired;
    case LossCause::kFlushed:
      return ReuseOutcome::kFlushed;
  }
  return ReuseOutcome::kUnknown;
}

// The more it shares the closer; then the sooner it could have been read from; then the later.
auto Closeness(const PastRequest& request, const PastRequest& other, size_t shared) {
  return std::tuple(shared, other.tenant == request.tenant, other.cache_key == request.cache_key,
                    other.cache == CacheUse::kReadAndPublish, other.number);
}

void FindClosest(const History& history, const PastRequest& request, size_t prompt, Seen seen,
                 MissReport& report) {
  const std::vector<TokenId>& tokens = request.prompts[prompt].tokens;
  const auto consider = [&](const PastRequest& other) {
    if (other.number >= request.number) return;
    for (size_t i = 0; i < other.prompts.size(); ++i) {
      const size_t shared = CommonTokens(tokens, other.prompts[i].tokens);
      if (shared == 0) continue;
      if (report.closest != nullptr &&
          Closeness(request, other, shared) <= Closeness(request, *report.closest, report.shared)) {
        continue;
      }
      report.closest = &other;
      report.closest_prompt = i;
      report.shared = shared;
    }
  };
  if (seen == Seen::kAllTenants) {
    history.ForEach(consider);
  } else {
    history.ForEachOf(request.tenant, consider);
  }
}

ReuseOutcome OutcomeOf(const MissReport& report, const PastRequest& request,
                       const PastPrompt& prompt) {
  if (report.closest == nullptr) return ReuseOutcome::kNothingShared;
  // The last token is computed again where the logits behind it were not kept.
  if (report.read >= std::min(report.shared, prompt.tokens.size() - 1)) return ReuseOutcome::kHit;
  const PastRequest& closest = *report.closest;
  if (prompt.started && static_cast<size_t>(prompt.started->known_tokens) >=
                            std::min(report.shared, prompt.tokens.size() - 1)) {
    return ReuseOutcome::kNoSnapshot;
  }
  if (closest.tenant != request.tenant) return ReuseOutcome::kOtherTenant;
  if (closest.cache_key != request.cache_key) return ReuseOutcome::kOtherCacheKey;
  if (request.cache == CacheUse::kNone) return ReuseOutcome::kNotCached;
  if (prompt.started && prompt.started->lost) return OutcomeOfLoss(prompt.started->lost->cause);
  if (closest.cache == CacheUse::kNone) return ReuseOutcome::kNotCached;
  const std::optional<WallTime>& computed = closest.prompts[report.closest_prompt].computed;
  if (!computed) return Ended(closest) ? ReuseOutcome::kNotCached : ReuseOutcome::kComputing;
  return prompt.looked_up && *computed > *prompt.looked_up ? ReuseOutcome::kComputing
                                                           : ReuseOutcome::kUnknown;
}

}  // namespace

std::string_view ToText(ReuseOutcome outcome) {
  switch (outcome) {
    case ReuseOutcome::kHit:
      return "hit";
    case ReuseOutcome::kNothingShared:
      return "nothing_shared";
    case ReuseOutcome::kEvicted:
      return "evicted";
    case ReuseOutcome::kExpired:
      return "expired";
    case ReuseOutcome::kFlushed:
      return "flushed";
    case ReuseOutcome::kNoSnapshot:
      return "no_snapshot";
    case ReuseOutcome::kOtherCacheKey:
      return "other_cache_key";
    case ReuseOutcome::kOtherTenant:
      return "other_tenant";
    case ReuseOutcome::kNotCached:
      return "not_cached";
    case ReuseOutcome::kComputing:
      return "computing";
    case ReuseOutcome::kUnknown:
      break;
  }
  return "unknown";
}

MissReport ExplainMiss(const History& history, const PastRequest& request, size_t prompt,
                       Seen seen) {
  const PastPrompt& own = request.prompts.at(prompt);
  MissReport report;
  report.read = own.read();
  FindClosest(history, request, prompt, seen, report);
  report.outcome = OutcomeOf(report, request, own);
  if (own.started && own.started->lost &&
      report.outcome == OutcomeOfLoss(own.started->lost->cause)) {
    report.loss = own.started->lost;
  }
  return report;
}

}  // namespace reprise

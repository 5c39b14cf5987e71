#pragma once

// What the engine is asked and what it answers. Plain values: made by the api layer, moved through
// the mailbox, owned by the engine thread from then on.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/tier_kind.h"
#include "cache/breakpoint.h"
#include "cache/loss.h"
#include "text/token_constraint.h"

namespace reprise {

// No part of the cache key. Neutral values change nothing.
struct SamplingParameters {
  float temperature = 1.0F;  // 0: greedy
  float top_p = 1.0F;
  int top_k = 0;  // 0: all
  float min_p = 0.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  float repetition_penalty = 1.0F;
  uint64_t seed = 0;  // always set: the api layer draws one where the client gave none
  std::vector<std::pair<TokenId, float>> logit_bias = {};
};

enum class CacheUse : uint8_t {
  kReadAndPublish,
  kNone,  // neither read nor publish (cache_prompt: false); breakpoints are ignored
};

// What an embedding is made of: the hidden states behind the last norm of all tokens, or of the
// last.
enum class Pooling : uint8_t { kMean, kLast };

enum class Priority : uint8_t {
  kNormal,
  kBackground,  // prefill that nobody waits for: runs when nothing else does
};

// What requests have cost, counted while they run by the engine's thread; for whoever wants to know
// it of requests that do not come to their end. Any thread reads.
struct WorkDone {
  std::atomic<int> computed{0};   // tokens of prompts
  std::atomic<int> generated{0};  // tokens of replies
};

struct GenerationRequest {
  std::string scope;              // tenant; entries are shared within one scope only
  std::vector<TokenId> prompt;    // at least one token
  std::optional<int> max_tokens;  // none: up to the context. 0: fill the cache, generate nothing
  SamplingParameters sampling;
  std::vector<std::string> stop;  // strings; the reply ends before the first of them
  int top_logprobs = -1;          // -1: no log probabilities; 0..20 alternatives beside the token's
  bool ignore_eos = false;
  // What the reply's tokens may be; null: anything. No part of the cache's key.
  std::shared_ptr<TokenConstraint> constraint = {};
  // Control tokens whose text is part of the reply's; that of others is not.
  std::vector<TokenId> shown_control = {};
  CacheUse cache = CacheUse::kReadAndPublish;
  // What of the prompt is to be kept, and how long; ascending by tokens. Any number: what a client
  // may send is limited by the api layer.
  std::vector<Breakpoint> breakpoints = {};
  Priority priority = Priority::kNormal;
  std::optional<Pooling> pooling = {};  // an embedding is wanted. REQUIRES: max_tokens is 0
  std::shared_ptr<WorkDone> work = {};  // counted there too; may be null
  // What the client expects the reply to be, or much of it: guesses for speculation. Changes no bit
  // of the reply.
  std::vector<TokenId> prediction = {};
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob =
      0;  // natural logarithm, of the raw distribution (before temperature and penalties)
};

struct TokenInfo {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // descending
};

// Why a prompt could not be read further, as far as the cache remembers: what would have gone on
// was dropped.
struct CacheLoss {
  LossCause cause = LossCause::kEvicted;
  Duration ago{};       // before the lookup
  SequenceId for_whom;  // kEvicted: the sequence that took its room

  bool operator==(const CacheLoss&) const = default;
};

// The prompt was looked up; sent once, before any prefill, so that usage is known at the first
// byte.
struct StartedEvent {
  int prompt_tokens = 0;
  int cached_tokens = 0;  // read
  // One a breakpoint of the request, in its order; empty with CacheUse::kNone. Counts for both
  // conventions: ComputeUsage(prompt_tokens, cached_tokens, breakpoints), engine/usage.h.
  std::vector<BreakpointOutcome> breakpoints = {};
  std::optional<CacheLoss> lost = {};
  PerTier<size_t> stored = {};    // of the cached ones, from below memory
  PerTier<TierMiss> missed = {};  // why no more from there
  // Whose K and V are cached: more than were read where a model with recurrent layers has no
  // snapshot of its state that far.
  int known_tokens = 0;
  // What computing what was read would have taken, at the engine's measured pace; 0 until there is
  // one.
  double saved_seconds = 0;
};
// Some text is certain. Tokens whose bytes are held back come with the event that releases them.
struct TextEvent {
  std::string text;               // whole characters; may be empty if only tokens are reported
  std::vector<TokenInfo> tokens;  // with top_logprobs ≥ 0
};
enum class FinishReason : uint8_t { kStop, kStopString, kLength };
struct FinishedEvent {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string;  // the one that matched
  int prompt_tokens = 0;
  int cached_tokens = 0;
  std::vector<BreakpointOutcome> breakpoints = {};  // as in StartedEvent
  int completion_tokens = 0;          // generated, an end-of-generation token included
  std::vector<TokenId> reply;         // generated tokens, without an end-of-generation token
  std::vector<float> embedding = {};  // [hidden], of length 1; where one was wanted
  uint64_t logits_checksum = 0;       // over the bits of all logits sampled from, in order
  // Of the request's `prediction`: tokens that became the reply's, and tokens that were computed in
  // vain.
  int accepted_prediction_tokens = 0;
  int rejected_prediction_tokens = 0;
  double queue_ms = 0, prefill_ms = 0, decode_ms = 0;
};
struct FailedEvent {
  Error error;
};
using Event = std::variant<StartedEvent, TextEvent, FinishedEvent, FailedEvent>;

// Called on the engine thread, in order; must not block. Started comes first, then any number of
// Text, then exactly one of Finished and Failed (Failed may come alone). After a Cancel nothing
// more comes but, at most, one Failed(kCancelled).
using EventSink = std::function<void(Event&&)>;

}  // namespace reprise

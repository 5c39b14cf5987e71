#pragma once

// The last requests of each tenant: their prompts as tokens, what became of them, and what the
// cache said. Kept to explain misses (miss_report.h); nothing that is served depends on it. The
// continuations that the server prefills by itself are no requests.
//
// Bounded twice: so many requests a tenant, and so many bytes in all. Over the bytes, the oldest of
// whoever holds most goes first, so that one tenant cannot push out another's few. A request may go
// while it still runs; what is then noted of it is dropped.
//
// I/O thread only.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "cache/breakpoint.h"
#include "generation/request.h"
#include "generation/usage.h"
#include "history/reuse_outcome.h"
#include "prompt/outline.h"
#include "prompt/prompt_parts.h"

namespace reprise {

using WallTime = std::chrono::system_clock::time_point;

// Why no more was read, as it was found when the prompt was looked up; for lists, which cannot look
// into every prompt (miss_report.h).
struct NotedReason {
  ReuseOutcome outcome = ReuseOutcome::kUnknown;
  // The part in which the first token that the closest earlier prompt does not have stands; none if
  // it has all.
  std::optional<PartName> new_from;
};

struct PastPrompt {
  std::vector<TokenId> tokens;
  std::vector<PartSpan> part_spans;
  std::vector<Breakpoint> marks;        // as the client set them; ascending
  std::vector<SequenceId> sequences;    // one a choice
  std::optional<StartedEvent> started;  // of the first choice
  std::optional<WallTime> looked_up;    // when that came
  std::optional<WallTime> computed;     // the whole prompt was
  std::optional<NotedReason> reason;    // once it was looked up

  size_t read() const { return started ? static_cast<size_t>(started->cached_tokens) : 0; }
  Usage usage() const;  // nothing until it was looked up
};

struct PastRequest {
  enum class State : uint8_t { kQueued, kComputing, kFinished, kFailed, kCancelled };

  uint64_t number = 0;     // ascending
  std::string request_id;  // req_…
  std::string reply_id;    // msg_…, chatcmpl-…, cmpl-…
  std::string endpoint;    // its path, "/v1/messages"
  std::string model_name;  // as asked
  std::string tenant;
  std::string cache_key;
  CacheUse cache = CacheUse::kReadAndPublish;
  RequestFingerprint fingerprint;
  WallTime time;
  State state = State::kQueued;
  std::vector<PastPrompt> prompts;
  std::shared_ptr<const WorkDone> work;  // that it has cost so far; null: nothing
  std::optional<double> first_token_ms;  // from its header to its first text; none yet

  Usage usage() const;  // of all prompts
  // What computing what was read would have taken.
  double saved_seconds() const;
  int generated() const { return work == nullptr ? 0 : work->generated.load(); }  // tokens
};

class History {
 public:
  // 0 requests a tenant: nothing is kept.
  History(size_t requests_per_tenant, size_t max_bytes)
      : requests_per_tenant_(requests_per_tenant), max_bytes_(max_bytes) {}

  // A request begins, its prompts with tokens, part_spans and marks only; returns its number, by
  // which the rest is noted. `request.number` is set here.
  uint64_t Begin(PastRequest request);
  void NoteSubmitted(uint64_t number, size_t prompt, SequenceId sequence);
  void NoteStarted(uint64_t number, size_t prompt, const StartedEvent& event, WallTime now);
  void NoteReason(uint64_t number, size_t prompt, const NotedReason& reason);
  void NoteComputed(uint64_t number, size_t prompt, WallTime now);
  void NoteFirstText(uint64_t number, double ms);
  void NoteEnd(uint64_t number, PastRequest::State state);

  // By either of its ids; nullptr if unknown. Pointers are good until the next Begin.
  const PastRequest* Find(std::string_view id) const;
  const PastRequest* Find(uint64_t number) const;
  const PastRequest* FindSequence(SequenceId sequence) const;

  // Calls visit(request): the tenant's, newest first.
  template <typename Visit>
  void ForEachOf(const std::string& tenant, Visit visit) const;
  // … everybody's, newest first.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (auto at = requests_.rbegin(); at != requests_.rend(); ++at) visit(at->second);
  }

  size_t size() const { return requests_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct OfTenant {
    std::deque<uint64_t> numbers;  // ascending
    size_t bytes = 0;
  };

  PastRequest* Mutable(uint64_t number);
  PastPrompt* MutablePrompt(uint64_t number, size_t prompt);
  void Drop(const std::string& tenant);  // its oldest
  void Bound(const std::string& newest);
  static size_t BytesOf(const PastRequest& request);

  size_t requests_per_tenant_;
  size_t max_bytes_;
  std::map<uint64_t, PastRequest> requests_;
  std::unordered_map<std::string, OfTenant> tenants_;  // none without requests
  std::unordered_map<std::string, uint64_t> by_id_;
  std::unordered_map<SequenceId, uint64_t> by_sequence_;
  uint64_t last_number_ = 0;
  size_t bytes_ = 0;
};

template <typename Visit>
void History::ForEachOf(const std::string& tenant, Visit visit) const {
  const auto of_tenant = tenants_.find(tenant);
  if (of_tenant == tenants_.end()) return;
  const auto& numbers = of_tenant->second.numbers;
  for (auto at = numbers.rbegin(); at != numbers.rend(); ++at) visit(requests_.at(*at));
}

}  // namespace reprise

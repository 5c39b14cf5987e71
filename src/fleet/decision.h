#pragma once

// Where a request goes: to the replica that is expected to give its first token first.
// Deterministic; time comes in. One thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>

#include "base/clock.h"
#include "base/fleet_limits.h"
#include "fleet/holdings.h"

namespace reprise {

// What a replica told of itself last. Rates of 0 are not known yet; then those of the others count.
struct ReplicaLoad {
  bool ready = false;                    // it may get requests
  double seconds_per_token = 0;          // of a prompt, computed …
  double seconds_per_token_and_key = 0;  // … and more for each key that the token attends to
  double disk_seconds_per_token = 0;     // read from its disk
  double shared_seconds_per_token = 0;   // read from the shared store
  double ahead_seconds = 0;              // work that it had to do when it told …
  TimePoint told{};                      // … at this time
};

struct PromptShape {
  size_t tokens = 0;
  size_t block_tokens = 32;
  size_t marked_blocks = 0;  // up to the last mark (cache_control and the like)
  uint64_t tie = 0;          // a hash of the prefix, such as the chain's first name
};

enum class DecisionReason : uint8_t {
  kOnly,    // no other replica is ready
  kHeld,    // it holds most of the prompt, as far as anybody does
  kSpread,  // another one holds more, but would take longer
  kFree,    // nobody holds any of it: the one with the least work
  kNamed,   // the request itself names it (the router's, not the decider's)
};

struct Decision {
  size_t replica = 0;
  DecisionReason reason = DecisionReason::kFree;
  double expected_seconds = 0;      // to the first token: what waits there, and its own work
  double work_seconds = 0;          // of that, its own: computing and reading
  size_t expected_read_tokens = 0;  // from memory, disk or the shared store
};

class Decider {
 public:
  // nullopt: no replica is ready. REQUIRES: reach and loads are of the same replicas, at most
  // limits::kMaxReplicas.
  std::optional<Decision> Choose(const PromptShape& shape, std::span<const Reach> reach,
                                 std::span<const ReplicaLoad> loads, TimePoint now) const;
  // The request goes there: until the replica tells of its load the next time, its work waits
  // there.
  void NoteSent(const Decision& decision, TimePoint now);
  // The replica is another one now, or begins anew: nothing was sent to it.
  void Forget(size_t replica);

  // What a request that came now would wait for.
  double AheadSeconds(size_t replica, const ReplicaLoad& load, TimePoint now) const;

 private:
  struct Sent {
    TimePoint at;
    double seconds = 0;
  };
  struct Account {
    std::deque<Sent> sent;  // lately, the oldest first
  };

  std::array<Account, limits::kMaxReplicas> accounts_;
};

}  // namespace reprise

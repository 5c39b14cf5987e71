#pragma once

// Where a request goes: to the replica with the least price,
//
//   price = expected time to the first token        what waits there before it, what replies that
//                                                   are written take, and its own work
//         + again * work done again              what some replica holds and this one does not
//         + place * its own work * share         share: the replica's work lately ÷ the mean
//
// The first line is what the request itself wants; alone it hops at every moment's queue, leaves
// copies behind that push out others' prefixes, and reads far less than one machine would. The
// second prices that; a hot prefix still spreads, once waiting costs more than `again` times
// computing it. The third puts what nobody holds where least was computed lately, hence where what
// it pushes out has been unused the longest. A replica that worked more than most_share of the mean
// and slack_seconds (a fleet that has just begun is not uneven yet) gets no credit in the second
// line for what it holds beyond the prompt's marks. docs/design/fleet.md says why, and
// docs/measurements/fleet.md has the figures.
//
// Equal prices: by `tie`, so that equal prompts go to equal places. Deterministic; time comes in.
// One thread.

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

// What a replica told of itself last. Rates of 0 are not known yet, since it has computed nothing:
// it is taken to be as fast as the fastest, so that it is tried.
struct ReplicaLoad {
  bool ready = false;                    // it may get requests
  double seconds_per_token = 0;          // of a prompt, computed …
  double seconds_per_token_and_key = 0;  // … and more for each key that the token attends to
  double disk_seconds_per_token = 0;     // read from its disk
  double shared_seconds_per_token = 0;   // read from the shared store
  double ahead_seconds = 0;              // work that it had to do when it told …
  TimePoint told{};                      // … at this time
  size_t replies = 0;                    // requests sent there whose replies have not ended
};

struct PromptShape {
  size_t tokens = 0;
  size_t block_tokens = 32;
  size_t marked_blocks = 0;  // up to the last mark (cache_control and the like)
  uint64_t tie = 0;          // a hash of the prompt, such as the chain's last name
};

enum class DecisionReason : uint8_t {
  kOnly,    // no other replica is ready
  kHeld,    // nobody who is ready holds more of it
  kSpread,  // another one holds more, but would take too long
  kFree,    // nobody holds any of it
  kNamed,   // the request itself names it (the router's, not the decider's)
};

struct Decision {
  size_t replica = 0;
  DecisionReason reason = DecisionReason::kFree;
  double expected_seconds = 0;      // to the first token: what waits there, and its own work
  double work_seconds = 0;          // of that, its own: computing and reading
  size_t expected_read_tokens = 0;  // from memory, disk or the shared store
};

// What each part of the price counts. What they do and where they come from: docs/design/fleet.md.
struct DecisionWeights {
  double again = 16;
  double place = 2;
  double most_share = 1.2;
  double slack_seconds = 0.5;
};

class Decider {
 public:
  // Each reply that is being written takes part in every step, and a step with its row takes longer
  // by about as many tokens of a prompt.
  static constexpr double kReplyTokens = 16;
  static constexpr double kGuessedPace = 0.001;   // seconds a token, where nobody has told any
  static constexpr double kLatelySeconds = 1200;  // work counts 1/e after so long

  explicit Decider(DecisionWeights weights = {}) : weights_(weights) {}

  // nullopt: no replica is ready. REQUIRES: reach and loads are of the same replicas, at most
  // limits::kMaxReplicas.
  std::optional<Decision> Choose(const PromptShape& shape, std::span<const Reach> reach,
                                 std::span<const ReplicaLoad> loads, TimePoint now) const;
  // The request goes there: until the replica tells of its load the next time, its work waits
  // there.
  void NoteSent(const Decision& decision, TimePoint now);
  // Its reply says how much was read. What was expected and had gone meanwhile is work too.
  void NoteRead(const PromptShape& shape, const Decision& decision, size_t read_tokens,
                const ReplicaLoad& load);
  // The replica is another one now, or begins anew: nothing was sent to it. What it worked lately
  // is taken to be the mean, so that it is not flooded.
  void Forget(size_t replica, TimePoint now);

  // What a request that came now would wait for.
  double AheadSeconds(size_t replica, const ReplicaLoad& load, TimePoint now) const;

 private:
  struct Sent {
    TimePoint at;
    double seconds = 0;
  };
  struct Account {
    std::deque<Sent> sent;    // lately, the oldest first
    double work_seconds = 0;  // done lately, as of …
    TimePoint as_of{};        // … this time
  };

  double Lately(size_t replica, TimePoint now) const;

  const DecisionWeights weights_;
  std::array<Account, limits::kMaxReplicas> accounts_;
};

}  // namespace reprise

#pragma once

// What one replica tells of itself in the events of its GET /cache/events (docs/api.md), taken in:
// blocks into Holdings, its load and state into ReplicaTold, replies into the reader's memory. Of
// each place blocks are first told by a snapshot, then by changes with numbers that follow one
// another; anything else is a fault, after which the stream must be begun anew. Until all its
// places have been told in full, the replica is not `followed`: nothing is expected of it.
//
// A replica whose prompts the router cannot read (another chat template or vocabulary, or other
// settings than the other replicas have) has a `trouble`: its blocks are not taken in. Where the
// others' settings become those that it has, or nobody has any others, its stream is a fault and
// begins anew. I/O thread only.

#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "fleet/holdings.h"
#include "router/prompt_reader.h"
#include "router/replica.h"

namespace reprise {

// What all replicas' events are taken into, and compared with.
struct ReplicaLore {
  Holdings& holdings;
  PromptReader& reader;
  std::optional<ReplicaTerms> terms;  // of the replicas; none: nobody has said
  size_t agreeing = 0;                // replicas that have these
};

class ReplicaEvents {
 public:
  // Both outlive it.
  ReplicaEvents(Replica& replica, ReplicaLore& lore) : replica_(replica), lore_(lore) {}

  // A stream begins: what comes is a hello, then snapshots.
  void Begin();
  // One event. kCorrupt: it cannot follow what came before, or be read.
  Status Take(std::string_view name, std::string_view data, TimePoint now);
  // The stream has ended: nothing that may have changed meanwhile is held to be there.
  void End();

  // What its blocks' names depend on; none: it has not said, or is in trouble.
  const std::optional<ChainBasis>& basis() const { return basis_; }

 private:
  enum class State : uint8_t { kAwaited, kInSnapshot, kWhole };
  struct Place {
    bool expected = false;  // the replica has it
    State state = State::kAwaited;
    uint64_t sequence = 0;  // of what was told last
  };

  Status TakeHello(const boost::json::object& hello);
  Status TakeBlocks(const boost::json::object& blocks);
  Status Follow(Place& place, const boost::json::object& blocks, Level level);
  Status TakeReply(const boost::json::object& event);
  void TakeLoad(const boost::json::object& load, TimePoint now);
  bool Agrees(const ReplicaTerms& terms) const;  // with those of the replicas
  std::string TroubleOf(const boost::json::object& hello, const ReplicaTerms& terms) const;
  void Clear();

  Replica& replica_;
  ReplicaLore& lore_;
  std::array<Place, 3> places_;  // by level
  std::optional<ChainBasis> basis_;
  std::optional<ReplicaTerms> differing_;  // its own, which are its trouble
};

}  // namespace reprise

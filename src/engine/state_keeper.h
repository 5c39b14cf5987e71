#pragma once

// What the scheduler does with recurrent states, for models that have them: gives each running
// sequence its working state, chooses behind which of its tokens a snapshot is kept, and keeps it
// there. For models without states (an interval of 0) everything here does nothing.
//
// A snapshot is kept, of a sequence that publishes,
//   – at the end of its prompt, and where it ends, is cancelled or set aside;
//   – at each of its breakpoints;
//   – at the last block's edge before it parted from what others had computed, where no snapshot
//     was: who takes the same branch next time reads up to there;
//   – at the last block's edge of what a waiting sequence is going to share with it;
//   – besides, every `interval` tokens.
// With stores below memory, which take states at blocks' edges only, also at the last edge before
// the prompt's end and before each breakpoint.
// A step's rows end at such a place, so the working state stands exactly there: it is copied, or
// given away where the sequence goes on no more.
//
// Engine thread.

#include <cstddef>
#include <cstdint>

#include "cache/prefix_cache.h"
#include "engine/sequence.h"

namespace reprise {

class StateKeeper {
 public:
  enum class Below : uint8_t { kNothing, kStores };

  // The cache outlives it, and has states if the interval (a multiple of its blocks) is not 0.
  StateKeeper(PrefixCache* cache, size_t interval_tokens, Below below)
      : cache_(cache), interval_(interval_tokens), below_(below) {}

  bool active() const { return interval_ > 0; }

  // How much of its tokens a sequence that begins may read, of `most`: not beyond a breakpoint that
  // has no snapshot though K and V are cached, so that it gets one.
  size_t ReadLimit(const Sequence& sequence, size_t most) const;

  // The sequence continues behind `match`: takes its working state, and decides where snapshots are
  // kept. False: as many sequences as may have a state, so it cannot run now.
  bool Begin(Sequence& sequence, PrefixMatch& match) const;

  // How many of its next `rows` rows a step may compute.
  size_t RowsToPlace(const Sequence& sequence, size_t rows) const;
  // Whether a snapshot is to be kept where it is now.
  bool AtPlace(const Sequence& sequence) const;
  // Copies its state there. REQUIRES: all that is computed is published.
  void Keep(Sequence& sequence) const;
  // It stops running: what it computed keeps its state. REQUIRES: all of that is published.
  void Give(Sequence& sequence) const;

  // The furthest place within the first `common` tokens, which a waiting sequence shares with
  // `owner`, where `owner` will keep a snapshot; asked for one, if need be. 0: it has passed them.
  size_t MeetingPlace(Sequence& owner, size_t common) const;

 private:
  size_t BlockEdge(size_t tokens) const;

  PrefixCache* cache_;
  size_t interval_;
  Below below_;
};

}  // namespace reprise

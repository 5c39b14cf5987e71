#pragma once

// What the prefix tree looks like at one moment, for people: plain values, copied out of it, so
// that whoever looks holds up nobody.
//
// A chain is a run of nodes, each the only child of the one before, that are held alike: the same
// leases, promised or not, and no promise ends before its last. A branch begins new ones.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace reprise {

// Names a node as long as the tree has it: a hash of its scope and of all tokens up to its end. A
// partial leaf that grows gets another. Made of nothing but what its own tenant asked.
using TreeNodeId = Id<struct TreeNodeTag, uint64_t>;

struct TreePromise {
  size_t tokens = 0;  // of the prompt, up to its breakpoint
  Duration ttl{};
  Duration left{};  // Duration::max(): for ever
};

struct TreeChain {
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();

  size_t parent = kNone;          // index of the chain that it goes on behind; kNone: of a root
  size_t scope = 0;               // index into TreeView::scopes
  size_t begin = 0;               // position of its first token
  std::vector<TreeNodeId> nodes;  // [blocks]
  std::vector<TokenId> tokens;    // all of them; every block but a partial leaf is full
  size_t tokens_below = 0;        // its own and all below
  bool promised = false;          // not evicted for a promise or a reservation
  size_t leases = 0;              // of running requests that hold it
  uint64_t reads = 0;             // by how many lookups, of its first block
  Duration idle{};                // since the last use of its first block
  // Until it goes if nobody uses it: with its last promise or, without one, by the retention. None:
  // for ever, or as long as a running request needs it.
  std::optional<Duration> left;
  std::vector<TreePromise> promises;  // that end in it, by position
};

struct TreeScope {
  std::string tenant;
  std::string cache_key;
};

struct TreeQuery {
  std::optional<std::string> tenant = {};  // none: of all
  size_t most_chains = 0;
};

struct TreeView {
  size_t block_tokens = 0;
  size_t tokens = 0;  // in all, also those left out
  size_t blocks = 0;
  std::vector<TreeScope> scopes;  // by name
  // Parents before children, by how many chains lie above; of one parent ascending by tokens.
  std::vector<TreeChain> chains;
  size_t left_out_chains = 0;  // the last ones in that order
  size_t left_out_tokens = 0;
};

struct TreeDrop {
  size_t freed_blocks = 0;
  size_t kept_blocks = 0;  // a running request holds them
};

enum class KeepDecision : uint8_t { kKept, kPoolFull, kTenantFull, kNoSnapshot };

struct TreeKeep {
  KeepDecision decision = KeepDecision::kPoolFull;
  size_t tokens = 0;  // kKept: what is kept ends here
  Duration left{};    // … and is kept so long, as of now
};

}  // namespace reprise

#pragma once

// What a replica holds, told as it changes: for each place first a snapshot, then every change, by
// the blocks' names (base/block_name.h). Whoever applies them in order knows at each moment which
// full blocks are there. Memory's are told exactly, behind one another and with their tokens; of
// the stores below, names alone are known:
//
//   disk    what the folder holds, other models' blocks too: nobody asks for those names. Exact.
//   shared  what this process stored there or found. What others store, what the store evicts and
//           what expires there is not known until it is looked for.
//
// Parts of recurrent states, which stores keep like blocks, are told like blocks. Values.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/block_name.h"
#include "base/ids.h"

namespace reprise {

enum class BlockPlace : uint8_t { kMemory, kDisk, kShared };

constexpr std::string_view ToText(BlockPlace place) {
  switch (place) {
    case BlockPlace::kMemory:
      return "memory";
    case BlockPlace::kDisk:
      return "disk";
    case BlockPlace::kShared:
      return "shared";
  }
  return "";
}

// In memory: blocks behind one another. On disk and in shared stores: blocks in no order, whose
// parents and tokens are not known.
struct BlockRun {
  // Of the first block, told before or earlier in the same changes; none: it begins a prompt, or
  // it is not known.
  std::optional<BlockName> parent = {};
  std::vector<BlockName> blocks = {};
  std::vector<TokenId> tokens = {};  // of all of them; empty: not known, or not wanted

  bool operator==(const BlockRun&) const = default;
};

// Of at most limits::kMaxToldBlocks blocks: more come in several, one behind the other.
struct BlockChanges {
  enum class Kind : uint8_t { kSnapshot, kChange };

  BlockPlace place = BlockPlace::kMemory;
  // Of this place: a change has the number behind that of what was told before it. All parts of a
  // snapshot have the number of the last change that is in it.
  uint64_t sequence = 0;
  Kind kind = Kind::kChange;
  // Of a snapshot, which may come in several parts; no change of its place comes between them. With
  // the first, what was known of the place is void.
  bool begins = false, ends = false;
  // Of a change. To be applied in this order, though no block is in both lists.
  bool cleared = false;                 // nothing is left of what the place held
  std::vector<BlockName> removed = {};  // of a store also what was not told before
  std::vector<BlockRun> stored = {};
};

// What somebody wants to be told of.
enum class BlockView : uint8_t {
  kNamesEverywhere,   // names, in memory and in each store below
  kMemoryWithTokens,  // memory alone, with what its blocks hold
};

// False: it wants no more. Called on the engine's and the stores' threads, of one place in order;
// must not block, and must not call the engine.
using BlockSink = std::function<bool(const std::shared_ptr<const BlockChanges>&)>;

}  // namespace reprise

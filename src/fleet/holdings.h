#pragma once

// Which replica holds which blocks, as the replicas tell it. A fixed number of blocks, each with
// one bit for each replica and level; what does not fit stays unknown, which costs a request sent
// to the wrong place and nothing else.
//
// Blocks are known by name alone (base/block_name.h): a name stands for a whole prefix, so a
// replica can read a prompt as far as it holds the names of its chain, one behind another.
//
// What lies in a shared store counts for every replica that reads that store (SetSharing), whoever
// told of it. One thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/block_name.h"
#include "base/fleet_limits.h"
#include "base/huge_pages.h"

namespace reprise {

enum class Level : uint8_t {
  kMemory,
  kDisk,
  kShared,
  // Not told, but to be expected: of a prompt that was sent there and waits or is being computed.
  // It counts as in memory, since a replica takes prompts in turn: whoever is sent behind it finds
  // it. Stored by who sends, for the blocks that the replica does not hold; removed when the
  // replica has told of them or the request is over.
  kComing,
};

// Of what replicas tell, by level.
inline constexpr std::array<std::string_view, 3> kLevelNames = {"memory", "disk", "shared"};

// Leading blocks of a chain that a replica holds: memory <= disk <= loadable.
struct Reach {
  uint32_t memory_blocks = 0;
  uint32_t disk_blocks = 0;      // in its memory or on its disk
  uint32_t loadable_blocks = 0;  // in its memory, on its disk or in the shared store

  bool operator==(const Reach&) const = default;
};

class Holdings {
 public:
  // At most so many different blocks. Memory grows with what is known: 64 to 128 bytes a block.
  // REQUIRES: max_blocks <= limits::kMostRoutedBlocks
  explicit Holdings(size_t max_blocks);

  // REQUIRES of all: replica < limits::kMaxReplicas.

  // false: the table is full, and the block stays unknown (counted by refused()).
  bool Store(size_t replica, Level level, BlockName block);
  void Remove(size_t replica, Level level, BlockName block);
  // Forgets everything that the replica told of this level. O(blocks known).
  void Clear(size_t replica, Level level);
  // Whether the replica reads the shared store. Nobody does at first.
  void SetSharing(size_t replica, bool sharing);

  // reach[replica] for the first reach.size() replicas.
  void Find(std::span<const BlockName> chain, std::span<Reach> reach) const;

  size_t size() const { return size_; }  // different blocks known
  // Of this replica; for kShared: that it told of, and which nobody told to be gone.
  size_t blocks(size_t replica, Level level = Level::kMemory) const;
  uint64_t refused() const { return refused_; }
  size_t memory_bytes() const {
    return entries_.size() * (sizeof(Entry) + sizeof(Slot)) + free_.size() * sizeof(uint64_t);
  }

 private:
  static constexpr size_t kLevels = 4;
  static constexpr uint32_t kNone = ~uint32_t{0};

  struct Entry {
    BlockName name = 0;
    std::array<uint64_t, kLevels> holders = {};  // a bit for each replica; all 0: a free entry

    bool free() const { return (holders[0] | holders[1] | holders[2] | holders[3]) == 0; }
  };
  struct Slot {
    uint32_t hash = 0;  // of the name; its first bits say where the slot belongs
    uint32_t entry = kNone;
  };

  static uint32_t HashOf(BlockName name);
  size_t HomeOf(uint32_t hash) const;
  size_t SlotOf(BlockName name) const;  // of its entry, or the free one where it would be
  uint32_t EntryBehind(uint32_t entry, BlockName name) const;
  uint32_t TakeEntry();
  void Erase(size_t slot);
  void Grow();

  size_t max_blocks_;
  // What becomes known takes the next free entry behind the one that was taken last, round and
  // round, so that a chain mostly lies in one piece, in its order, and is read as fast as memory
  // gives it. A quarter is always free: what was forgotten since the last round makes long pieces.
  std::vector<Entry, HugePageAllocator<Entry>> entries_;  // a power of two
  std::vector<uint64_t> free_;                            // a bit for each entry
  size_t next_ = 0;                                       // looked at next
  std::vector<Slot, HugePageAllocator<Slot>> slots_;      // as many; open addressing
  size_t size_ = 0;
  uint64_t sharing_ = 0;
  uint64_t refused_ = 0;
  std::array<std::array<size_t, kLevels>, limits::kMaxReplicas> counts_ = {};
};

}  // namespace reprise

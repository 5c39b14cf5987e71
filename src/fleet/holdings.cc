#include "fleet/holdings.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace reprise {
namespace {

static_assert(limits::kMaxReplicas <= 64, "a bit for each replica in one word");

constexpr size_t kFirstEntries = 1024;
constexpr size_t kBits = 64;  // of a word of free entries

size_t IndexOf(Level level) { return static_cast<size_t>(level); }
uint64_t BitOf(size_t replica) { return uint64_t{1} << replica; }

uint64_t BitsBelow(size_t count) { return count >= 64 ? ~uint64_t{0} : BitOf(count) - 1; }

// Sets `blocks` of those replicas whose bits are in `ended`.
void End(uint64_t ended, uint32_t depth, std::span<Reach> reach, uint32_t Reach::*blocks) {
  for (; ended != 0; ended &= ended - 1) {
    reach[static_cast<size_t>(std::countr_zero(ended))].*blocks = depth;
  }
}

}  // namespace

Holdings::Holdings(size_t max_blocks)
    : max_blocks_(max_blocks),
      entries_(kFirstEntries),
      free_(kFirstEntries / kBits, ~uint64_t{0}),
      slots_(kFirstEntries) {
  CHECK(max_blocks <= limits::kMostRoutedBlocks, "entries have numbers of 32 bits");
}

// Names are hashes already, but whoever tells them could choose them: spread once more.
uint32_t Holdings::HashOf(BlockName name) {
  return static_cast<uint32_t>((name * 0x9E3779B97F4A7C15u) >> 32);
}

size_t Holdings::HomeOf(uint32_t hash) const { return (uint64_t{hash} * slots_.size()) >> 32; }

size_t Holdings::SlotOf(BlockName name) const {
  const uint32_t hash = HashOf(name);
  const size_t mask = slots_.size() - 1;
  for (size_t slot = HomeOf(hash);; slot = (slot + 1) & mask) {
    const auto& [its_hash, entry] = slots_[slot];
    if (entry == kNone || (its_hash == hash && entries_[entry].name == name)) return slot;
  }
}

// REQUIRES: one is free
uint32_t Holdings::TakeEntry() {
  size_t word = next_ / kBits;
  uint64_t free = free_[word] & (~uint64_t{0} << (next_ % kBits));
  while (free == 0) {
    word = (word + 1) % free_.size();
    free = free_[word];
  }
  free_[word] &= ~(free & -free);
  const size_t entry = word * kBits + static_cast<size_t>(std::countr_zero(free));
  next_ = (entry + 1) % entries_.size();
  return static_cast<uint32_t>(entry);
}

bool Holdings::Store(size_t replica, Level level, BlockName block) {
  DCHECK(replica < limits::kMaxReplicas, "a replica has its number");
  size_t slot = SlotOf(block);
  if (slots_[slot].entry == kNone) {
    if (size_ >= max_blocks_) {
      ++refused_;
      return false;
    }
    if (4 * (size_ + 1) > 3 * entries_.size()) {
      Grow();
      slot = SlotOf(block);
    }
    slots_[slot] = {.hash = HashOf(block), .entry = TakeEntry()};
    entries_[slots_[slot].entry].name = block;
    ++size_;
  }
  uint64_t& holders = entries_[slots_[slot].entry].holders[IndexOf(level)];
  if ((holders & BitOf(replica)) == 0) ++counts_[replica][IndexOf(level)];
  holders |= BitOf(replica);
  return true;
}

void Holdings::Remove(size_t replica, Level level, BlockName block) {
  DCHECK(replica < limits::kMaxReplicas, "a replica has its number");
  const size_t slot = SlotOf(block);
  if (slots_[slot].entry == kNone) return;
  Entry& entry = entries_[slots_[slot].entry];
  uint64_t& holders = entry.holders[IndexOf(level)];
  if ((holders & BitOf(replica)) == 0) return;
  holders &= ~BitOf(replica);
  --counts_[replica][IndexOf(level)];
  if (entry.free()) Erase(slot);
}

void Holdings::Clear(size_t replica, Level level) {
  DCHECK(replica < limits::kMaxReplicas, "a replica has its number");
  if (counts_[replica][IndexOf(level)] == 0) return;
  for (Entry& entry : entries_) {
    if ((entry.holders[IndexOf(level)] & BitOf(replica)) == 0) continue;
    const size_t slot = SlotOf(entry.name);
    entry.holders[IndexOf(level)] &= ~BitOf(replica);
    if (entry.free()) Erase(slot);
  }
  counts_[replica][IndexOf(level)] = 0;
}

void Holdings::SetSharing(size_t replica, bool sharing) {
  DCHECK(replica < limits::kMaxReplicas, "a replica has its number");
  if (sharing) {
    sharing_ |= BitOf(replica);
  } else {
    sharing_ &= ~BitOf(replica);
  }
}

// Its entry is held by nobody now. Slots behind it move up, as far as that is nearer to their home.
void Holdings::Erase(size_t slot) {
  --size_;
  const size_t entry = slots_[slot].entry;
  free_[entry / kBits] |= uint64_t{1} << (entry % kBits);
  const size_t mask = slots_.size() - 1;
  size_t hole = slot;
  for (size_t next = (hole + 1) & mask; slots_[next].entry != kNone; next = (next + 1) & mask) {
    const size_t from_home = (next - HomeOf(slots_[next].hash)) & mask;
    if (from_home < ((next - hole) & mask)) continue;
    slots_[hole] = slots_[next];
    hole = next;
  }
  slots_[hole] = {};
}

void Holdings::Grow() {
  next_ = entries_.size();
  entries_.resize(2 * entries_.size());
  free_.resize(entries_.size() / kBits, ~uint64_t{0});
  std::vector<Slot, HugePageAllocator<Slot>> old(entries_.size());
  std::swap(old, slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.entry == kNone) continue;
    size_t free = HomeOf(slot.hash);
    while (slots_[free].entry != kNone) free = (free + 1) & mask;
    slots_[free] = slot;
  }
}

// The block's entry, kNone if there is none. It is probably the one behind that of the block before
// it.
uint32_t Holdings::EntryBehind(uint32_t entry, BlockName name) const {
  const uint32_t next = entry + 1;
  if (next < entries_.size() && entries_[next].name == name && !entries_[next].free()) return next;
  return slots_[SlotOf(name)].entry;
}

void Holdings::Find(std::span<const BlockName> chain, std::span<Reach> reach) const {
  const uint64_t all = BitsBelow(reach.size());
  uint64_t memory = all, disk = all, loadable = all;
  uint32_t depth = 0, at = kNone;
  std::array<uint64_t, kLevels> before = {};
  for (; depth < chain.size() && loadable != 0; ++depth) {
    at = EntryBehind(at, chain[depth]);
    if (at == kNone) break;
    const Entry& entry = entries_[at];
    if (entry.holders == before) continue;
    before = entry.holders;
    const auto& [told, on_disk, in_store, coming] = entry.holders;
    const uint64_t in_memory = told | coming;
    const uint64_t here = in_memory | on_disk;
    const uint64_t shared = in_store != 0 ? sharing_ : 0;
    End(memory & ~in_memory, depth, reach, &Reach::memory_blocks);
    End(disk & ~here, depth, reach, &Reach::disk_blocks);
    End(loadable & ~(here | shared), depth, reach, &Reach::loadable_blocks);
    memory &= in_memory;
    disk &= here;
    loadable &= here | shared;
  }
  End(memory, depth, reach, &Reach::memory_blocks);
  End(disk, depth, reach, &Reach::disk_blocks);
  End(loadable, depth, reach, &Reach::loadable_blocks);
}

size_t Holdings::blocks(size_t replica, Level level) const {
  return counts_[replica][IndexOf(level)];
}

}  // namespace reprise

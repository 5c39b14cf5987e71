#include "fleet/holdings.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace reprise {
namespace {

static_assert(limits::kMaxReplicas <= 64, "a bit for each replica in one word");

constexpr size_t kFirstSlots = 1024;
constexpr size_t kPrefetched =
    16;  // entries of a chain that are fetched while earlier ones are read

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

Holdings::Holdings(size_t max_blocks) : max_blocks_(max_blocks), table_(kFirstSlots) {}

// Names are hashes already, but whoever tells them could choose them: spread once more.
size_t Holdings::HomeOf(BlockName name) const {
  return (name * 0x9E3779B97F4A7C15u) >> (64 - std::countr_zero(table_.size()));
}

size_t Holdings::SlotOf(BlockName name) const {
  const size_t mask = table_.size() - 1;
  size_t slot = HomeOf(name);
  while (!table_[slot].free() && table_[slot].name != name) slot = (slot + 1) & mask;
  return slot;
}

bool Holdings::Store(size_t replica, Level level, BlockName block) {
  DCHECK(replica < limits::kMaxReplicas, "a replica has its number");
  size_t slot = SlotOf(block);
  if (table_[slot].free()) {
    if (size_ >= max_blocks_) {
      ++refused_;
      return false;
    }
    if (4 * (size_ + 1) > 3 * table_.size()) {
      Grow();
      slot = SlotOf(block);
    }
    table_[slot].name = block;
    ++size_;
  }
  uint64_t& holders = table_[slot].holders[IndexOf(level)];
  if ((holders & BitOf(replica)) == 0) ++counts_[replica][IndexOf(level)];
  holders |= BitOf(replica);
  return true;
}

void Holdings::Remove(size_t replica, Level level, BlockName block) {
  DCHECK(replica < limits::kMaxReplicas, "a replica has its number");
  const size_t slot = SlotOf(block);
  Entry& entry = table_[slot];
  uint64_t& holders = entry.holders[IndexOf(level)];
  // An entry that is free has no holders, so nothing happens to it.
  if ((holders & BitOf(replica)) == 0) return;
  holders &= ~BitOf(replica);
  --counts_[replica][IndexOf(level)];
  if (entry.free()) Erase(slot);
}

void Holdings::Clear(size_t replica, Level level) {
  DCHECK(replica < limits::kMaxReplicas, "a replica has its number");
  if (counts_[replica][IndexOf(level)] == 0) return;
  const size_t mask = table_.size() - 1;
  // From behind a free entry on, so that no run of entries is met in its middle: what Erase moves
  // comes from ahead.
  size_t first = 0;
  while (!table_[first].free()) ++first;
  for (size_t i = 1; i <= table_.size(); ++i) {
    const size_t slot = (first + i) & mask;
    while (!table_[slot].free()) {
      table_[slot].holders[IndexOf(level)] &= ~BitOf(replica);
      if (!table_[slot].free()) break;
      Erase(slot);
    }
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

// The entry is free now: entries behind it move up, as far as that is nearer to their home.
void Holdings::Erase(size_t slot) {
  const size_t mask = table_.size() - 1;
  --size_;
  size_t hole = slot;
  for (size_t next = (hole + 1) & mask; !table_[next].free(); next = (next + 1) & mask) {
    const size_t from_home = (next - HomeOf(table_[next].name)) & mask;
    if (from_home < ((next - hole) & mask)) continue;
    table_[hole] = table_[next];
    hole = next;
  }
  table_[hole] = Entry{};
}

void Holdings::Grow() {
  std::vector<Entry> old(2 * table_.size());
  std::swap(old, table_);
  for (const Entry& entry : old) {
    if (!entry.free()) table_[SlotOf(entry.name)] = entry;
  }
}

// An entry may lie across two lines of the processor's cache.
void Holdings::Prefetch(BlockName name) const {
  const Entry* entry = &table_[HomeOf(name)];
  __builtin_prefetch(entry);
  __builtin_prefetch(reinterpret_cast<const std::byte*>(entry + 1) - 1);
}

void Holdings::Find(std::span<const BlockName> chain, std::span<Reach> reach) const {
  const uint64_t all = BitsBelow(reach.size());
  uint64_t memory = all, disk = all, loadable = all;
  uint32_t depth = 0;
  for (size_t i = 0; i < std::min(kPrefetched, chain.size()); ++i) {
    Prefetch(chain[i]);
  }
  for (; depth < chain.size() && loadable != 0; ++depth) {
    if (depth + kPrefetched < chain.size()) {
      Prefetch(chain[depth + kPrefetched]);
    }
    const Entry& entry = table_[SlotOf(chain[depth])];
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

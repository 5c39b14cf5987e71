#pragma once

// A store of blocks below memory. Slow, may fail, and nothing depends on it: what it does not have
// is computed. disk_store.h is one; a third kind would be one more file.
//
// Find, FindLast, WhyMissing, Announce and Read are called by one thread, the others by another;
// each may block. A fault is an Error, never a wrong bit: Read compares key, tokens and a checksum
// before it says yes.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/tier_kind.h"
#include "tiers/block_key.h"

namespace reprise {

// Seconds since 1970: what a store keeps outlives the clock of a process.
using WallSeconds = int64_t;

inline WallSeconds WallSecondsNow() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// That a block is promised to be kept: `ttl` from its request's start on, and anew with each use.
struct Keep {
  int64_t ttl = 0;  // seconds; 0: not promised
};

struct BlockUse {
  BlockKey key;
  uint32_t depth = 0;  // blocks before it; of equally old blocks the deepest goes first
  WallSeconds when = 0;
  Keep keep;
};

struct BlockWrite {
  BlockUse use;
  std::span<const TokenId> tokens;
  std::span<const std::byte> payload;
};

struct StoreSizes {
  uint64_t capacity_bytes = 0;
  uint64_t held_bytes = 0;      // as they count against the capacity
  uint64_t promised_bytes = 0;  // of those, that promises hold
  uint64_t records = 0;
  // Where a tier is spread over several stores, whose sizes only they know.
  uint64_t stores = 1;
  uint64_t stores_away = 0;  // that do not answer and are left alone
};

struct WriteOutcome {
  size_t written = 0;
  size_t known = 0;    // were there already: used, not written
  size_t refused = 0;  // no room beside what is promised, or the store is left alone
  size_t evicted = 0;  // others', for room
  size_t expired = 0;  // past the retention
};

// Who is told which blocks a store holds, by the threads that call the store, in the order that it
// changes. Must not call the store.
class StoreListener {
 public:
  virtual ~StoreListener() = default;

  virtual void OnStored(BlockName block) = 0;
  virtual void OnGone(BlockName block) = 0;  // also of one that was not told
  virtual void OnCleared() = 0;              // nothing is left
};

class BlockStore {
 public:
  virtual ~BlockStore() = default;

  // It outlives the store. Called before the others; stores that do not know what they hold tell
  // nothing.
  virtual void SetListener(StoreListener* /*listener*/) {}
  // All that it holds, as far as it knows, then `done` with whether they were all; the listener is
  // told of no change in between. Called by the thread that writes. kIo: they were not.
  virtual Status ForEachHeld(const std::function<void(BlockName)>& /*visit*/,
                             const std::function<void(bool all)>& done) const {
    done(true);
    return {};
  }

  // How many leading blocks of `chain` are there.
  virtual size_t Find(std::span<const BlockKey> chain) = 0;
  // How many of `keys` lie before the last one that is there, with it; 0: none is there.
  virtual size_t FindLast(std::span<const BlockKey> keys);
  // Why a block is not found, as far as this process saw it go.
  virtual TierMiss WhyMissing(const BlockKey& /*key*/) const { return TierMiss::kAbsent; }
  // Read is going to be called with these, in this order, unless it fails or is not wanted any
  // more.
  virtual void Announce(std::span<const BlockKey> /*chain*/) {}
  // The block's payload. kNotFound; kCorrupt: what is stored is not this block (it is dropped);
  // kIo. Then what `payload` holds is undefined.
  virtual Status Read(const BlockKey& key, std::span<const TokenId> tokens,
                      std::span<std::byte> payload) = 0;

  // With an error, perhaps some of them.
  virtual Result<WriteOutcome> Write(std::span<const BlockWrite> blocks, WallSeconds now) = 0;
  // They were used: their time begins anew. Unknown ones are passed over.
  virtual Status Use(std::span<const BlockUse> uses) = 0;
  virtual Status Clear() = 0;

  virtual StoreSizes sizes() const = 0;  // any thread
};

inline size_t BlockStore::FindLast(std::span<const BlockKey> keys) {
  size_t count = keys.size();
  while (count > 0 && Find(keys.subspan(count - 1, 1)) == 0) --count;
  return count;
}

}  // namespace reprise

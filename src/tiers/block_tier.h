#pragma once

// A store of blocks with threads of its own before it, so that the engine never waits for it: one
// writes what is offered, one looks up and reads. Both may stand still for as long as they like;
// what is offered meanwhile is dropped, and who reads gives up and computes.
//
//   engine   Offer ──copy──▶ queue (bounded in bytes) ──▶ writer ──▶ store
//   engine   Fetch ────────▶ order ──▶ reader ──▶ blocks in order (bounded in bytes) ──▶ Take
//
// Read is only what is read sooner than it is computed: `seconds to compute` are the engine's
// estimate, what reading takes is measured. A store whose rate is not known, or was too slow some
// time ago, is tried with the first blocks of an order, and left when they come too slowly.
//
// Offer, Use, Fetch, Clear, Watch: one thread (the engine's). Take, Cancel of a fetch: the same.
// Counters: any thread.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "base/tier_kind.h"
#include "tiers/block_changes.h"
#include "tiers/block_store.h"
#include "tiers/tier_journal.h"

namespace reprise {

// A chain of blocks on its way from the store.
class TierFetch {
 public:
  struct Order {
    std::vector<BlockKey> keys;     // in order, the first behind what is in memory
    std::vector<TokenId> tokens;    // of all of them, one behind the other
    double compute_seconds = 0;     // that computing all of them takes
    std::function<void()> on_news;  // on the reader's thread: Take has something
    // Of models with recurrent states: how many parts one has; 0: they have none. Then the chain is
    // read up to the last block behind which all parts of the state are stored too, and these come
    // behind it. The first `in_memory` of `keys` are not wanted themselves.
    size_t state_parts = 0;
    size_t in_memory = 0;
  };
  using Block = std::unique_ptr<std::byte[]>;

  // The blocks that came since the last call, in order. done: no more will come.
  std::vector<Block> Take(bool& done);
  // With states: of how many of `keys` the state comes behind, from the first block on.
  size_t state_behind() const { return state_behind_; }
  // Why no more came, once it is done.
  TierMiss miss() const { return miss_; }
  // Nobody will take any more.
  void Cancel();

 private:
  friend class BlockTier;
  explicit TierFetch(Order order) : order_(std::move(order)) {}

  const Order order_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Block> blocks_;        // GUARDED_BY(mutex_): not taken yet
  bool done_ = false;                // GUARDED_BY(mutex_)
  TierMiss miss_ = TierMiss::kNone;  // the reader's until done_
  bool cancelled_ = false;           // GUARDED_BY(mutex_)
  std::atomic<size_t> state_behind_{0};
};

class BlockTier {
 public:
  struct Options {
    TierKind kind = TierKind::kDisk;
    size_t block_bytes = 0;
    size_t block_tokens = 0;
    size_t queue_bytes =
        limits::kTierQueueBytes;  // of payloads that wait to be written, and to be taken
    // Reading must take at most this share of computing: what was read too slowly is lost twice.
    double worthwhile = 0.7;
    std::chrono::milliseconds flush{5000};  // at the end, for what waits to be written
  };
  struct Counters {  // since start, in blocks
    TierKind kind = TierKind::kDisk;
    uint64_t written = 0, read = 0;
    uint64_t queue_dropped = 0;  // offered while the queue was full
    uint64_t queue_bytes = 0;    // that wait to be written now
    uint64_t refused = 0;        // no room beside what is promised
    uint64_t evicted = 0, expired = 0;
    uint64_t read_failures = 0;   // the system refused
    uint64_t corrupt = 0;         // refused by checksum, key or tokens
    uint64_t write_failures = 0;  // batches
    uint64_t slow = 0;            // orders not read, or not to their end: computing is faster
    double bytes_per_second = 0;  // of reading, as measured lately; 0: not yet
    double seconds_saved = 0;     // computing what was read would have taken longer by so much
    StoreSizes sizes;
  };

  BlockTier(std::unique_ptr<BlockStore> store, Options options);
  // Writes what waits, for `flush` at most.
  ~BlockTier();
  BlockTier(const BlockTier&) = delete;
  BlockTier& operator=(const BlockTier&) = delete;

  // Copies the block into the queue; false: the queue is full.
  bool Offer(const BlockUse& use, std::span<const TokenId> tokens, const std::byte* payload);
  // These blocks, stored or offered before, were used, or are promised from now on.
  void Use(std::vector<BlockUse> uses);
  std::shared_ptr<TierFetch> Fetch(TierFetch::Order order);
  // Nothing of what was offered until now is found any more when `done` is called, on the writer's
  // thread, without an Error.
  void Clear(std::function<void(const Status&)> done);

  // `sink` is told on the tier's threads which blocks the store holds, all of them first.
  void Watch(BlockSink sink);

  // Whether promises may hold so many blocks more: half of the capacity is theirs.
  bool HasRoomForPromise(size_t blocks) const;

  // What Take gave, to be filled again.
  void Recycle(TierFetch::Block buffer);

  TierKind kind() const { return options_.kind; }
  // Changes with each block that was read, each answer on the way to a state and each order that
  // ended: as long as it does, who waits
  // for an order of his own is not waiting in vain. Any thread.
  uint64_t progress() const { return progress_; }
  Counters counters() const;

 private:
  struct Offered {
    BlockUse use;
    std::vector<TokenId> tokens;
    TierFetch::Block payload;
  };
  using Item = std::variant<Offered, std::vector<BlockUse>>;  // in the order that they came

  void WriteLoop();
  void BeginWatch(BlockSink sink);
  void WriteBatch(std::vector<Offered> blocks, std::vector<BlockUse> uses);
  void ReadLoop();
  // What is read for an order, record by record.
  struct Chain {
    std::vector<BlockKey> keys;
    std::vector<std::span<const TokenId>> tokens;  // of each
    double compute_seconds = 0;                    // for all of it
    TierMiss end = TierMiss::kNone;                // why it is no longer
  };
  Chain FindChain(TierFetch& fetch);
  Chain FindChainWithState(TierFetch& fetch);
  // How many of these blocks lie before the last state that is whole; 0: there is none.
  size_t FindState(std::span<const BlockKey> blocks, size_t parts);
  TierMiss Serve(TierFetch& fetch);
  bool WorthReading(size_t blocks, double compute_seconds) const;  // reader
  TierFetch::Block TakeBuffer();
  void CountFailure(const Error& error, bool reading);

  const Options options_;
  TierJournal journal_;  // outlives the store
  const std::unique_ptr<BlockStore> store_;

  mutable std::mutex mutex_;
  std::condition_variable writer_wakes_, reader_wakes_;
  std::deque<Item> items_;    // GUARDED_BY(mutex_)
  bool write_soon_ = false;   // GUARDED_BY(mutex_): one of them is no mere use
  size_t offered_bytes_ = 0;  // GUARDED_BY(mutex_), the batch at work too
  std::vector<std::function<void(const Status&)>> clears_;  // GUARDED_BY(mutex_)
  std::vector<BlockSink> watches_;                 // GUARDED_BY(mutex_): to be told from now on
  std::deque<std::shared_ptr<TierFetch>> orders_;  // GUARDED_BY(mutex_)
  std::vector<TierFetch::Block> buffers_;          // GUARDED_BY(mutex_): to be used again
  Counters counters_;                              // GUARDED_BY(mutex_)
  bool stopping_ = false;                          // GUARDED_BY(mutex_)
  bool writer_ended_ = false;                      // GUARDED_BY(mutex_)
  bool write_fault_logged_ = false, read_fault_logged_ = false, corrupt_logged_ = false;

  std::atomic<uint64_t> progress_{0};
  std::chrono::steady_clock::time_point slow_since_{};  // reader: when it was found too slow
  double seconds_per_block_ = 0;                        // reader; 0: not known
  std::thread writer_, reader_;                         // last: they use the rest
};

}  // namespace reprise

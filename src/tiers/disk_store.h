#pragma once

// Blocks in a folder: an index (disk_index.h) beside data files of fixed-size records.
//
//   DIR/lock             held by the one process that uses the folder
//   DIR/index/           LMDB: key -> file, slot, ages, promises
//   DIR/records-557056   records of so many bytes, one behind the other; a hole where none is
//
//   record, of 4096 bytes and the payload, filled up to a multiple of 4096
//     0   8  "RPRBLK01"
//     8   8  checksum: XXH3 (64 bits) of all that follows, to the payload's end
//     16 32  key
//     48  8  payload's bytes
//     56  8  number of tokens
//     64     the tokens, four bytes each, the lowest first
//
// The order of writes: what must go is erased from the index, and that is on the disk, before its
// slot is written; records are on the disk before the index names them. So after a crash at any
// point every record that the index names is whole, and the others' room is free (Found::leftover).
// What was changed behind our back is found by checksum, key and tokens when it is read.
//
// See block_store.h for threads. Errors after which nothing is stored are the caller's to report.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tiers/block_file.h"
#include "tiers/block_store.h"
#include "tiers/disk_index.h"

namespace reprise {

class DiskStore final : public BlockStore {
 public:
  struct Options {
    std::string folder;  // made if it is not there
    uint64_t capacity_bytes = 0;
    size_t payload_bytes = 0;       // of the blocks that are written
    int64_t retention = 24 * 3600;  // seconds unused, of what nothing promises
    bool read_only = false;         // nothing is erased or made
  };
  struct Found {  // when it was opened
    uint64_t records = 0;
    uint64_t leftover = 0;   // records that no index names: a crash left them; their room is free
    std::string begun_anew;  // why nothing of what was there is used; empty: it is
  };

  // kInvalidArgument: another process uses the folder; kIo. `files` outlives the store.
  static Result<std::unique_ptr<DiskStore>> Open(Options options, FileSystem& files);
  ~DiskStore() override;

  const Found& found() const { return found_; }

  void SetListener(StoreListener* listener) override { listener_ = listener; }
  Status ForEachHeld(const std::function<void(BlockName)>& visit,
                     const std::function<void(bool all)>& done) const override;

  size_t Find(std::span<const BlockKey> chain) override;
  TierMiss WhyMissing(const BlockKey& key) const override;
  Status Read(const BlockKey& key, std::span<const TokenId> tokens,
              std::span<std::byte> payload) override;
  Result<WriteOutcome> Write(std::span<const BlockWrite> blocks, WallSeconds now) override;
  Status Use(std::span<const BlockUse> uses) override;
  Status Clear() override;
  StoreSizes sizes() const override;

  // For operators. Reads every record; those that are not what the index says are counted, and with
  // `mend` erased. progress(done, all).
  struct Verdict {
    uint64_t good = 0, bad = 0;
  };
  Result<Verdict> Verify(bool mend, const std::function<void(uint64_t, uint64_t)>& progress);
  // Erases what is older than the retention, then the oldest beyond the capacity.
  Result<WriteOutcome> Prune(WallSeconds now);

  struct Group {  // of records of one size: one model's, mostly
    uint32_t record_bytes = 0;
    uint64_t records = 0;
    WallSeconds oldest = 0, youngest = 0;  // last use
  };
  Result<std::vector<Group>> Groups() const;
  // How fast some of the records are read now, such as "1.9 GB/s"; empty: there is none to read.
  std::string ReadRate();

  std::string Note(std::string_view name) const { return index_->Note(name); }
  Status SetNote(std::string_view name, std::string_view text);

 private:
  struct DataFile {
    std::unique_ptr<BlockFile> file;
    std::vector<uint32_t> free;  // slots below `end` that hold nothing
    uint32_t end = 0;
  };

  DiskStore(Options options, FileSystem& files) : options_(std::move(options)), files_(files) {}
  Status Lock();
  Status OpenIndex();
  Status CountRecords();
  Result<DataFile*> FileOf(uint32_t record_bytes);
  uint32_t RecordBytes() const;
  BlockFile* ReadableFile(uint32_t record_bytes);
  Status ReadRecord(const BlockKey& key, const DiskEntry& entry, std::span<const TokenId> tokens,
                    std::span<std::byte> payload);
  void Forget(const BlockKey& key, TierMiss why);
  // What `entry` counts, added or taken away.
  void Count(const DiskEntry& entry, int sign);
  void GiveSlots(std::span<const DiskEntry> entries);
  void RememberGone(const BlockKey& key, TierMiss why);
  Status MakeRoom(uint64_t bytes, WallSeconds now, WriteOutcome& outcome);
  Status Enter(std::span<const std::pair<BlockKey, DiskEntry>> entries);
  static void Prolong(DiskEntry& entry, const BlockUse& use);

  const Options options_;
  FileSystem& files_;
  StoreListener* listener_ = nullptr;
  // Held from before a change of what the index names until it is told: so it is told in order.
  mutable std::mutex telling_;
  int lock_ = -1;
  std::unique_ptr<DiskIndex> index_;
  Found found_;

  mutable std::mutex mutex_;           // never held while the disk is waited for
  std::map<uint32_t, DataFile> data_;  // GUARDED_BY(mutex_): by record_bytes; none is erased
  mutable StoreSizes sizes_;           // GUARDED_BY(mutex_)
  // GUARDED_BY(mutex_): bytes, by their promise's end; those whose end has come are taken out.
  mutable std::map<WallSeconds, uint64_t> promised_;
  std::unordered_map<BlockKey, TierMiss> gone_;  // GUARDED_BY(mutex_): lately, and why
  std::deque<BlockKey> gone_in_order_;           // GUARDED_BY(mutex_): the first first
};

}  // namespace reprise

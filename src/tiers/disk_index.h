#pragma once

// Which blocks a folder holds, where, and how old they are: LMDB's trees of keys, ages and notes.
// Nothing is committed but by an Update's Commit, which returns when it is on the disk; after a
// crash the index is as the last Commit left it.
//
// Reading: any thread, never waits for an Update. One Update at a time.

#include <lmdb.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "tiers/block_store.h"

namespace reprise {

// As it lies in the index.
struct DiskEntry {
  uint32_t record_bytes = 0;  // names the data file; records of one size share it
  uint32_t slot = 0;          // record within the file
  uint32_t depth = 0;
  uint32_t reserved = 0;
  WallSeconds used = 0;
  int64_t keep_ttl = 0;        // 0: not promised
  WallSeconds keep_until = 0;  // 0: not promised

  // What the oldest is chosen by.
  WallSeconds age() const { return used > keep_until ? used : keep_until; }
};

class DiskIndex {
 public:
  // In `folder`, which exists. kCorrupt: what is there is no index, or one cut short; kIo.
  static Result<std::unique_ptr<DiskIndex>> Open(const std::string& folder, uint64_t most_records);
  ~DiskIndex();
  DiskIndex(const DiskIndex&) = delete;
  DiskIndex& operator=(const DiskIndex&) = delete;

  std::optional<DiskEntry> Get(const BlockKey& key) const;
  size_t Find(std::span<const BlockKey> chain) const;
  Status ForEach(const std::function<void(const BlockKey&, const DiskEntry&)>& visit) const;
  std::string Note(std::string_view name) const;  // empty: there is none

  class Update {
   public:
    explicit Update(DiskIndex& index);  // waits for another's end
    ~Update();                          // without Commit nothing has happened
    Update(const Update&) = delete;
    Update& operator=(const Update&) = delete;

    // After a failure the others do nothing, and Commit says what it was.
    std::optional<DiskEntry> Get(const BlockKey& key);
    void Put(const BlockKey& key, const DiskEntry& entry);
    void Erase(const BlockKey& key);
    std::optional<std::pair<BlockKey, DiskEntry>> Oldest();
    void SetNote(std::string_view name, std::string_view text);
    void EraseAll();
    Status Commit();

   private:
    bool Take(int result);  // remembers a failure
    void EraseAge(const BlockKey& key, const DiskEntry& entry);

    DiskIndex& index_;
    MDB_txn* txn_ = nullptr;
    int failure_ = 0;
  };

 private:
  DiskIndex(MDB_env* env, std::string folder) : env_(env), folder_(std::move(folder)) {}
  Status OpenTrees();
  Error Failure(int result) const;

  MDB_env* env_;
  const std::string folder_;
  MDB_dbi blocks_ = 0, ages_ = 0, notes_ = 0;
};

}  // namespace reprise

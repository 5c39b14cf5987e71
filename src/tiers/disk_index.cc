#include "tiers/disk_index.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace reprise {
namespace {

// Of the map that LMDB is given; it takes of it what it needs. A record needs about 200 bytes, and
// pages are written anew until an older one is free.
constexpr uint64_t kMapBytesPerRecord = 1024;
constexpr uint64_t kLeastMapBytes = 64u << 20;

// Ages in the order of their bytes: the age, then the deepest first, then the key.
struct AgeKey {
  std::array<std::byte, 8 + 4 + sizeof(BlockKey)> bytes;

  AgeKey(const BlockKey& key, const DiskEntry& entry) {
    const uint64_t age =
        std::byteswap(static_cast<uint64_t>(std::max<WallSeconds>(entry.age(), 0)));
    const uint32_t depth = std::byteswap(~entry.depth);
    std::memcpy(bytes.data(), &age, 8);
    std::memcpy(bytes.data() + 8, &depth, 4);
    std::memcpy(bytes.data() + 12, key.bytes.data(), sizeof key.bytes);
  }
};

MDB_val ValueOf(std::span<const std::byte> bytes) {
  return {bytes.size(), const_cast<std::byte*>(bytes.data())};
}

MDB_val ValueOf(std::string_view text) { return ValueOf(std::as_bytes(std::span(text))); }

std::optional<DiskEntry> EntryOf(const MDB_val& value) {
  DiskEntry entry;
  if (value.mv_size != sizeof entry) return std::nullopt;
  std::memcpy(&entry, value.mv_data, sizeof entry);
  return entry;
}

std::optional<DiskEntry> GetEntry(MDB_txn* txn, MDB_dbi blocks, const BlockKey& key) {
  MDB_val name = ValueOf(key.bytes), value;
  if (mdb_get(txn, blocks, &name, &value) != MDB_SUCCESS) return std::nullopt;
  return EntryOf(value);
}

// A look at one moment of the index.
class Snapshot {
 public:
  explicit Snapshot(MDB_env* env) {
    if (mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn_) != MDB_SUCCESS) txn_ = nullptr;
  }
  ~Snapshot() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  MDB_txn* txn() const { return txn_; }

 private:
  MDB_txn* txn_ = nullptr;
};

}  // namespace

Error DiskIndex::Failure(int result) const {
  const bool corrupt = result == MDB_CORRUPTED || result == MDB_PAGE_NOTFOUND ||
                       result == MDB_INVALID || result == MDB_VERSION_MISMATCH ||
                       result == MDB_PANIC;
  return {corrupt ? ErrorCode::kCorrupt : ErrorCode::kIo,
          fmt::format("the index in {}: {}", folder_, mdb_strerror(result)),
          {}};
}

Result<std::unique_ptr<DiskIndex>> DiskIndex::Open(const std::string& folder,
                                                   uint64_t most_records) {
  MDB_env* env = nullptr;
  if (const int made = mdb_env_create(&env); made != MDB_SUCCESS) {
    return Fail(ErrorCode::kInternal, mdb_strerror(made));
  }
  std::unique_ptr<DiskIndex> index(new DiskIndex(env, folder));
  mdb_env_set_maxdbs(env, 3);
  mdb_env_set_mapsize(env, kLeastMapBytes + most_records * kMapBytesPerRecord);
  // Transactions are not bound to threads; what is read is read at random places.
  if (const int opened = mdb_env_open(env, folder.c_str(), MDB_NOTLS | MDB_NORDAHEAD, 0600);
      opened != MDB_SUCCESS) {
    return std::unexpected(index->Failure(opened));
  }
  // A file that was cut would have reading end the process.
  MDB_envinfo info;
  MDB_stat stat;
  struct stat file {};
  const std::string path = folder + "/data.mdb";
  if (mdb_env_info(env, &info) != MDB_SUCCESS || mdb_env_stat(env, &stat) != MDB_SUCCESS ||
      ::stat(path.c_str(), &file) != 0 ||
      static_cast<uint64_t>(file.st_size) < (info.me_last_pgno + 1) * stat.ms_psize) {
    return Fail(ErrorCode::kCorrupt, fmt::format("the index in {} has been cut short", folder));
  }
  if (Status trees = index->OpenTrees(); !trees) return std::unexpected(trees.error());
  return index;
}

Status DiskIndex::OpenTrees() {
  MDB_txn* txn = nullptr;
  int result = mdb_txn_begin(env_, nullptr, 0, &txn);
  if (result != MDB_SUCCESS) return std::unexpected(Failure(result));
  for (const auto& [name, tree] :
       {std::pair{"blocks", &blocks_}, {"ages", &ages_}, {"notes", &notes_}}) {
    if (result == MDB_SUCCESS) result = mdb_dbi_open(txn, name, MDB_CREATE, tree);
  }
  if (result == MDB_SUCCESS) {
    result = mdb_txn_commit(txn);
  } else {
    mdb_txn_abort(txn);
  }
  return result == MDB_SUCCESS ? Status() : std::unexpected(Failure(result));
}

DiskIndex::~DiskIndex() { mdb_env_close(env_); }

std::optional<DiskEntry> DiskIndex::Get(const BlockKey& key) const {
  const Snapshot snapshot(env_);
  if (snapshot.txn() == nullptr) return std::nullopt;
  return GetEntry(snapshot.txn(), blocks_, key);
}

size_t DiskIndex::Find(std::span<const BlockKey> chain) const {
  const Snapshot snapshot(env_);
  if (snapshot.txn() == nullptr) return 0;
  size_t found = 0;
  while (found < chain.size() && GetEntry(snapshot.txn(), blocks_, chain[found])) ++found;
  return found;
}

Status DiskIndex::ForEach(
    const std::function<void(const BlockKey&, const DiskEntry&)>& visit) const {
  const Snapshot snapshot(env_);
  MDB_cursor* cursor = nullptr;
  if (snapshot.txn() == nullptr ||
      mdb_cursor_open(snapshot.txn(), blocks_, &cursor) != MDB_SUCCESS) {
    return Fail(ErrorCode::kIo, fmt::format("the index in {} cannot be read", folder_));
  }
  MDB_val name, value;
  int result = MDB_SUCCESS;
  while ((result = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) == MDB_SUCCESS) {
    const std::optional<DiskEntry> entry = EntryOf(value);
    BlockKey key;
    if (!entry || name.mv_size != sizeof key.bytes) continue;
    std::memcpy(key.bytes.data(), name.mv_data, sizeof key.bytes);
    visit(key, *entry);
  }
  mdb_cursor_close(cursor);
  return result == MDB_NOTFOUND ? Status() : std::unexpected(Failure(result));
}

std::string DiskIndex::Note(std::string_view name) const {
  const Snapshot snapshot(env_);
  MDB_val key = ValueOf(name), value;
  if (snapshot.txn() == nullptr || mdb_get(snapshot.txn(), notes_, &key, &value) != MDB_SUCCESS) {
    return {};
  }
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

DiskIndex::Update::Update(DiskIndex& index) : index_(index) {
  failure_ = mdb_txn_begin(index.env_, nullptr, 0, &txn_);
  if (failure_ != MDB_SUCCESS) txn_ = nullptr;
}

DiskIndex::Update::~Update() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

bool DiskIndex::Update::Take(int result) {
  if (result == MDB_SUCCESS) return true;
  if (result != MDB_NOTFOUND && failure_ == 0) failure_ = result;
  return false;
}

std::optional<DiskEntry> DiskIndex::Update::Get(const BlockKey& key) {
  if (failure_ != 0) return std::nullopt;
  return GetEntry(txn_, index_.blocks_, key);
}

void DiskIndex::Update::EraseAge(const BlockKey& key, const DiskEntry& entry) {
  const AgeKey age(key, entry);
  MDB_val name = ValueOf(age.bytes);
  Take(mdb_del(txn_, index_.ages_, &name, nullptr));
}

void DiskIndex::Update::Put(const BlockKey& key, const DiskEntry& entry) {
  if (const std::optional<DiskEntry> old = Get(key)) EraseAge(key, *old);
  if (failure_ != 0) return;
  MDB_val name = ValueOf(key.bytes);
  MDB_val value = {sizeof entry, const_cast<DiskEntry*>(&entry)};
  if (!Take(mdb_put(txn_, index_.blocks_, &name, &value, 0))) return;
  const AgeKey age(key, entry);
  MDB_val age_name = ValueOf(age.bytes), nothing = {0, nullptr};
  Take(mdb_put(txn_, index_.ages_, &age_name, &nothing, 0));
}

void DiskIndex::Update::Erase(const BlockKey& key) {
  const std::optional<DiskEntry> old = Get(key);
  if (!old) return;
  EraseAge(key, *old);
  MDB_val name = ValueOf(key.bytes);
  if (failure_ == 0) Take(mdb_del(txn_, index_.blocks_, &name, nullptr));
}

std::optional<std::pair<BlockKey, DiskEntry>> DiskIndex::Update::Oldest() {
  if (failure_ != 0) return std::nullopt;
  MDB_cursor* cursor = nullptr;
  if (!Take(mdb_cursor_open(txn_, index_.ages_, &cursor))) return std::nullopt;
  MDB_val name, value;
  std::optional<std::pair<BlockKey, DiskEntry>> oldest;
  if (Take(mdb_cursor_get(cursor, &name, &value, MDB_FIRST)) && name.mv_size == sizeof(AgeKey)) {
    BlockKey key;
    std::memcpy(key.bytes.data(), static_cast<const std::byte*>(name.mv_data) + 12,
                sizeof key.bytes);
    if (const std::optional<DiskEntry> entry = GetEntry(txn_, index_.blocks_, key)) {
      oldest = {key, *entry};
    } else {
      failure_ = MDB_CORRUPTED;
    }
  }
  mdb_cursor_close(cursor);
  return oldest;
}

void DiskIndex::Update::SetNote(std::string_view name, std::string_view text) {
  MDB_val key = ValueOf(name), value = ValueOf(text);
  if (failure_ == 0) Take(mdb_put(txn_, index_.notes_, &key, &value, 0));
}

void DiskIndex::Update::EraseAll() {
  for (const MDB_dbi tree : {index_.blocks_, index_.ages_}) {
    if (failure_ == 0) Take(mdb_drop(txn_, tree, 0));
  }
}

Status DiskIndex::Update::Commit() {
  if (failure_ == 0) {
    failure_ = mdb_txn_commit(std::exchange(txn_, nullptr));
  }
  return failure_ == 0 ? Status() : std::unexpected(index_.Failure(failure_));
}

}  // namespace reprise

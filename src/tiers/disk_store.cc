#include "tiers/disk_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/limits.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

constexpr std::array<char, 8> kMagic = {'R', 'P', 'R', 'B', 'L', 'K', '0', '1'};
constexpr std::string_view kFormat = "1";
constexpr size_t kPage = 4096;
constexpr std::string_view kDataName = "records-";

// Beside its record, what a block takes of the capacity: its part of the index, generously.
constexpr uint64_t kIndexBytes = 1024;

// As it lies on the disk.
struct RecordHead {
  std::array<char, 8> magic;
  uint64_t checksum;
  BlockKey key;
  uint64_t payload_bytes;
  uint64_t token_count;
};
static_assert(sizeof(RecordHead) == 64);
constexpr size_t kChecked = offsetof(RecordHead, key);  // from here on the checksum counts
constexpr size_t kMostTokens = (kPage - sizeof(RecordHead)) / sizeof(TokenId);

using HeadPage = std::array<std::byte, kPage>;

RecordHead HeadOf(const HeadPage& page) {
  RecordHead head;
  std::memcpy(&head, page.data(), sizeof head);
  return head;
}

uint64_t Checksum(const HeadPage& page, std::span<const std::byte> payload) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, page.data() + kChecked, page.size() - kChecked);
  XXH3_64bits_update(&state, payload.data(), payload.size());
  return XXH3_64bits_digest(&state);
}

HeadPage WriteHead(const BlockWrite& block) {
  HeadPage page{};
  RecordHead head = {kMagic, 0, block.use.key, block.payload.size(), block.tokens.size()};
  std::memcpy(page.data(), &head, sizeof head);
  std::memcpy(page.data() + sizeof head, block.tokens.data(), block.tokens.size_bytes());
  head.checksum = Checksum(page, block.payload);
  std::memcpy(page.data(), &head, sizeof head);
  return page;
}

uint32_t BytesOfRecord(size_t payload_bytes) {
  return static_cast<uint32_t>(kPage + (payload_bytes + kPage - 1) / kPage * kPage);
}

uint64_t OffsetOf(const DiskEntry& entry) { return uint64_t{entry.slot} * entry.record_bytes; }

}  // namespace

Result<std::unique_ptr<DiskStore>> DiskStore::Open(Options options, FileSystem& files) {
  std::unique_ptr<DiskStore> store(new DiskStore(std::move(options), files));
  for (const auto step : {&DiskStore::Lock, &DiskStore::OpenIndex, &DiskStore::CountRecords}) {
    if (Status done = (store.get()->*step)(); !done) return std::unexpected(done.error());
  }
  return store;
}

DiskStore::~DiskStore() {
  index_.reset();
  if (lock_ >= 0) close(lock_);
}

Status DiskStore::Lock() {
  const std::string& folder = options_.folder;
  std::error_code failure;
  if (!options_.read_only) fs::create_directories(folder, failure);
  if (!fs::is_directory(folder, failure)) {
    return Fail(ErrorCode::kIo, fmt::format("there is no folder {}, and none can be made", folder));
  }
  // Prompts' tokens lie here.
  fs::permissions(folder, fs::perms::owner_all, failure);
  const std::string path = folder + "/lock";
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_ < 0) return std::unexpected(SystemError("open", path, errno));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("another process uses the cache in {}", folder));
  }
  return {};
}

Status DiskStore::OpenIndex() {
  const std::string folder = options_.folder + "/index";
  std::error_code failure;
  const bool is_new = fs::create_directory(folder, failure);
  fs::permissions(folder, fs::perms::owner_all, failure);
  constexpr uint64_t kUnbounded = 1u << 20;  // operators write less than is there
  const bool bounded = options_.capacity_bytes < UINT64_MAX;
  const uint64_t most = bounded ? options_.capacity_bytes / RecordBytes() + 1 : kUnbounded;
  auto opened = DiskIndex::Open(folder, most);
  if (opened && !is_new) {
    const std::string format = (*opened)->Note("format");
    if (!format.empty() && format != kFormat) {
      found_.begun_anew = fmt::format("it has format {}, this server writes {}", format, kFormat);
    }
  } else if (!opened) {
    if (opened.error().code != ErrorCode::kCorrupt || options_.read_only) {
      return std::unexpected(opened.error());
    }
    found_.begun_anew = opened.error().message;
  }
  if (!found_.begun_anew.empty() && !options_.read_only) {
    opened = Fail(ErrorCode::kInternal, {});  // closed before its files go
    fs::remove_all(folder, failure);
    fs::create_directory(folder, failure);
    fs::permissions(folder, fs::perms::owner_all, failure);
    opened = DiskIndex::Open(folder, most);
    if (!opened) return std::unexpected(opened.error());
  }
  index_ = *std::move(opened);
  return options_.read_only ? Status() : SetNote("format", kFormat);
}

// Which slots are in use, and what that comes to.
Status DiskStore::CountRecords() {
  const std::lock_guard lock(mutex_);
  sizes_.capacity_bytes = options_.capacity_bytes;
  std::map<uint32_t, std::vector<uint32_t>> used;
  const Status read = index_->ForEach([&](const BlockKey&, const DiskEntry& entry) {
    used[entry.record_bytes].push_back(entry.slot);
    Count(entry, 1);
    ++found_.records;
  });
  if (!read) return read;
  std::error_code failure;
  for (const auto& file : fs::directory_iterator(options_.folder, failure)) {
    const std::string name = file.path().filename();
    uint32_t record_bytes = 0;
    if (!name.starts_with(kDataName)) continue;
    const char* digits = name.data() + kDataName.size();
    const auto [end, wrong] = std::from_chars(digits, name.data() + name.size(), record_bytes);
    if (wrong == std::errc() && end == name.data() + name.size() && record_bytes >= kPage) {
      used[record_bytes];
    }
  }
  if (!options_.read_only && options_.payload_bytes > 0) used[RecordBytes()];
  for (auto& [record_bytes, slots] : used) {
    Result<DataFile*> data = FileOf(record_bytes);
    if (!data) return std::unexpected(data.error());
    const Result<uint64_t> size = (*data)->file->Size();
    if (!size) return std::unexpected(size.error());
    std::ranges::sort(slots);
    const uint32_t in_file = static_cast<uint32_t>((*size + record_bytes - 1) / record_bytes);
    (*data)->end = std::max(in_file, slots.empty() ? 0 : slots.back() + 1);
    auto next = slots.begin();
    for (uint32_t slot = 0; slot < (*data)->end; ++slot) {
      if (next != slots.end() && *next == slot) {
        ++next;
      } else {
        (*data)->free.push_back(slot);
      }
    }
    if (!options_.read_only) {
      for (const uint32_t slot : (*data)->free) {
        static_cast<void>((*data)->file->Release(uint64_t{slot} * record_bytes, record_bytes));
      }
    }
    found_.leftover += (*data)->free.size();
  }
  return {};
}

uint32_t DiskStore::RecordBytes() const { return BytesOfRecord(options_.payload_bytes); }

Result<DiskStore::DataFile*> DiskStore::FileOf(uint32_t record_bytes) {
  DataFile& data = data_[record_bytes];
  if (data.file == nullptr) {
    auto opened = files_.Open(fmt::format("{}/{}{}", options_.folder, kDataName, record_bytes));
    if (!opened) return std::unexpected(opened.error());
    data.file = *std::move(opened);
  }
  return &data;
}

BlockFile* DiskStore::ReadableFile(uint32_t record_bytes) {
  const std::lock_guard lock(mutex_);
  const Result<DataFile*> data = FileOf(record_bytes);
  return data ? (*data)->file.get() : nullptr;
}

void DiskStore::Count(const DiskEntry& entry, int sign) {
  const uint64_t bytes = entry.record_bytes + kIndexBytes;
  if (sign > 0) {
    sizes_.held_bytes += bytes;
    ++sizes_.records;
    if (entry.keep_until > 0) {
      promised_[entry.keep_until] += bytes;
      sizes_.promised_bytes += bytes;
    }
  } else {
    sizes_.held_bytes -= bytes;
    --sizes_.records;
    const auto promised = promised_.find(entry.keep_until);
    if (entry.keep_until > 0 && promised != promised_.end()) {
      promised->second -= bytes;
      sizes_.promised_bytes -= bytes;
      if (promised->second == 0) promised_.erase(promised);
    }
  }
}

StoreSizes DiskStore::sizes() const {
  const WallSeconds now = WallSecondsNow();
  const std::lock_guard lock(mutex_);
  while (!promised_.empty() && promised_.begin()->first <= now) {
    sizes_.promised_bytes -= promised_.begin()->second;
    promised_.erase(promised_.begin());
  }
  return sizes_;
}

Status DiskStore::ForEachHeld(const std::function<void(BlockName)>& visit,
                              const std::function<void(bool all)>& done) const {
  const std::lock_guard telling(telling_);
  // Those of another size are no blocks of this model's.
  const Status read = index_->ForEach([&](const BlockKey& key, const DiskEntry& entry) {
    if (entry.record_bytes == RecordBytes()) visit(NameOf(key));
  });
  done(read.has_value());
  return read;
}

size_t DiskStore::Find(std::span<const BlockKey> chain) { return index_->Find(chain); }

Status DiskStore::ReadRecord(const BlockKey& key, const DiskEntry& entry,
                             std::span<const TokenId> tokens, std::span<std::byte> payload) {
  const auto wrong = [&](const char* what) {
    return Fail(ErrorCode::kCorrupt,
                fmt::format("record {} of {}/{}{} {}", entry.slot, options_.folder, kDataName,
                            entry.record_bytes, what));
  };
  if (entry.record_bytes != BytesOfRecord(payload.size())) return wrong("has another size");
  BlockFile* file = ReadableFile(entry.record_bytes);
  if (file == nullptr) return wrong("cannot be opened");
  HeadPage page;
  if (Status read = file->Read(OffsetOf(entry), page, payload); !read) return read;
  const RecordHead head = HeadOf(page);
  if (head.magic != kMagic || head.payload_bytes != payload.size()) return wrong("is no record");
  if (head.checksum != Checksum(page, payload)) return wrong("does not have its checksum");
  if (head.key != key) return wrong("is another block");
  if (tokens.data() == nullptr) return {};
  if (head.token_count != tokens.size() || head.token_count > kMostTokens ||
      std::memcmp(page.data() + sizeof head, tokens.data(), tokens.size_bytes()) != 0) {
    return wrong("has other tokens");
  }
  return {};
}

Status DiskStore::Read(const BlockKey& key, std::span<const TokenId> tokens,
                       std::span<std::byte> payload) {
  const std::optional<DiskEntry> entry = index_->Get(key);
  if (!entry) return Fail(ErrorCode::kNotFound, "the block is not stored");
  Status read = ReadRecord(key, *entry, tokens, payload);
  if (read) return read;
  // It may have gone, and its slot to another, while it was read.
  const std::optional<DiskEntry> now = index_->Get(key);
  if (!now || now->slot != entry->slot) {
    return Fail(ErrorCode::kNotFound, "the block is not stored any more");
  }
  Forget(key, read.error().code == ErrorCode::kCorrupt ? TierMiss::kChecksum : TierMiss::kFailed);
  return read;
}

TierMiss DiskStore::WhyMissing(const BlockKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = gone_.find(key);
  return found == gone_.end() ? TierMiss::kAbsent : found->second;
}

void DiskStore::RememberGone(const BlockKey& key, TierMiss why) {
  const std::lock_guard lock(mutex_);
  if (!gone_.insert_or_assign(key, why).second) return;
  gone_in_order_.push_back(key);
  if (gone_in_order_.size() <= limits::kMaxGoneBlocks) return;
  gone_.erase(gone_in_order_.front());
  gone_in_order_.pop_front();
}

void DiskStore::Forget(const BlockKey& key, TierMiss why) {
  const std::lock_guard telling(telling_);
  DiskIndex::Update update(*index_);
  const std::optional<DiskEntry> entry = update.Get(key);
  if (!entry) return;
  update.Erase(key);
  if (update.Commit()) {
    GiveSlots({&*entry, 1});
    if (listener_ != nullptr) listener_->OnGone(NameOf(key));
  }
  RememberGone(key, why);
}

// The index does not name them any more.
void DiskStore::GiveSlots(std::span<const DiskEntry> entries) {
  // Other sizes' records must not keep the room.
  for (const DiskEntry& entry : entries) {
    if (entry.record_bytes == RecordBytes()) continue;
    BlockFile* file = ReadableFile(entry.record_bytes);
    if (file != nullptr) static_cast<void>(file->Release(OffsetOf(entry), entry.record_bytes));
  }
  const std::lock_guard lock(mutex_);
  for (const DiskEntry& entry : entries) {
    Count(entry, -1);
    data_[entry.record_bytes].free.push_back(entry.slot);
  }
}

// Erases what is past its retention, and the oldest until `bytes` more fit. That is on the disk
// when it returns.
Status DiskStore::MakeRoom(uint64_t bytes, WallSeconds now, WriteOutcome& outcome) {
  uint64_t held = 0;
  {
    const std::lock_guard lock(mutex_);
    held = sizes_.held_bytes;
  }
  std::vector<DiskEntry> gone;
  std::vector<BlockKey> keys;
  const std::lock_guard telling(telling_);
  DiskIndex::Update update(*index_);
  while (const auto oldest = update.Oldest()) {
    const auto& [key, entry] = *oldest;
    const bool expired = entry.age() < now - options_.retention && entry.keep_until <= now;
    if (!expired && held + bytes <= options_.capacity_bytes) break;
    if (entry.keep_until > now) break;  // so are all that are younger
    ++(expired ? outcome.expired : outcome.evicted);
    held -= entry.record_bytes + kIndexBytes;
    gone.push_back(entry);
    keys.push_back(key);
    RememberGone(key, expired ? TierMiss::kExpired : TierMiss::kEvicted);
    update.Erase(key);
  }
  if (gone.empty()) return {};
  if (Status committed = update.Commit(); !committed) return committed;
  GiveSlots(gone);
  if (listener_ != nullptr)
    std::ranges::for_each(keys, [this](auto& key) { listener_->OnGone(NameOf(key)); });
  return {};
}

void DiskStore::Prolong(DiskEntry& entry, const BlockUse& use) {
  entry.used = std::max(entry.used, use.when);
  // A promise that is not over begins anew with each use.
  if (entry.keep_until <= use.when) entry.keep_ttl = 0;
  entry.keep_ttl = std::max(entry.keep_ttl, use.keep.ttl);
  entry.keep_until = entry.keep_ttl > 0 ? std::max(entry.keep_until, use.when + entry.keep_ttl) : 0;
}

// Their records are on the disk.
Status DiskStore::Enter(std::span<const std::pair<BlockKey, DiskEntry>> entries) {
  const std::lock_guard telling(telling_);
  DiskIndex::Update update(*index_);
  for (const auto& [key, entry] : entries) update.Put(key, entry);
  if (Status committed = update.Commit(); !committed) return committed;
  if (listener_ == nullptr) return {};
  for (const auto& [key, entry] : entries) listener_->OnStored(NameOf(key));
  return {};
}

Result<WriteOutcome> DiskStore::Write(std::span<const BlockWrite> blocks, WallSeconds now) {
  WriteOutcome outcome;
  std::vector<BlockUse> known;
  std::vector<const BlockWrite*> fresh;
  for (const BlockWrite& block : blocks) {
    if (block.payload.size() != options_.payload_bytes || block.tokens.size() > kMostTokens) {
      return Fail(ErrorCode::kInternal, "a block of another size was to be stored");
    }
    if (index_->Get(block.use.key)) {
      known.push_back(block.use);
    } else {
      fresh.push_back(&block);
    }
  }
  outcome.known = known.size();
  if (!known.empty()) {
    if (Status used = Use(known); !used) return std::unexpected(used.error());
  }
  const uint32_t record_bytes = RecordBytes();
  const uint64_t each = record_bytes + kIndexBytes;
  if (Status room = MakeRoom(each * fresh.size(), now, outcome); !room) {
    return std::unexpected(room.error());
  }
  std::vector<std::pair<BlockKey, DiskEntry>> entries;
  BlockFile* file = nullptr;
  {
    const std::lock_guard lock(mutex_);
    Result<DataFile*> data = FileOf(record_bytes);
    if (!data) return std::unexpected(data.error());
    file = (*data)->file.get();
    const uint64_t room =
        options_.capacity_bytes - std::min(options_.capacity_bytes, sizes_.held_bytes);
    const size_t fit = static_cast<size_t>(std::min<uint64_t>(room / each, fresh.size()));
    outcome.refused = fresh.size() - fit;
    fresh.resize(fit);
    for (const BlockWrite* block : fresh) {
      DiskEntry entry{.record_bytes = record_bytes, .depth = block->use.depth};
      if ((*data)->free.empty()) {
        entry.slot = (*data)->end++;
      } else {
        entry.slot = (*data)->free.back();
        (*data)->free.pop_back();
      }
      Prolong(entry, block->use);
      entries.emplace_back(block->use.key, entry);
    }
  }
  Status written;
  for (size_t i = 0; i < fresh.size() && written; ++i) {
    written = file->Write(OffsetOf(entries[i].second), WriteHead(*fresh[i]), fresh[i]->payload);
  }
  if (written && !fresh.empty()) written = file->Sync();
  if (written && !fresh.empty()) written = Enter(entries);
  const std::lock_guard lock(mutex_);
  for (const auto& [key, entry] : entries) {
    if (written) {
      Count(entry, 1);
    } else {
      data_[record_bytes].free.push_back(entry.slot);
    }
  }
  if (!written) return std::unexpected(written.error());
  outcome.written = fresh.size();
  return outcome;
}

Status DiskStore::Use(std::span<const BlockUse> uses) {
  std::vector<std::pair<DiskEntry, DiskEntry>> changes;
  DiskIndex::Update update(*index_);
  for (const BlockUse& use : uses) {
    const std::optional<DiskEntry> old = update.Get(use.key);
    if (!old) continue;
    DiskEntry entry = *old;
    Prolong(entry, use);
    update.Put(use.key, entry);
    changes.emplace_back(*old, entry);
  }
  if (Status committed = update.Commit(); !committed) return committed;
  const std::lock_guard lock(mutex_);
  for (const auto& [before, after] : changes) {
    Count(before, -1);
    Count(after, 1);
  }
  return {};
}

Status DiskStore::Clear() {
  {
    const std::lock_guard telling(telling_);
    DiskIndex::Update update(*index_);
    update.EraseAll();
    if (Status committed = update.Commit(); !committed) return committed;
    if (listener_ != nullptr) listener_->OnCleared();
  }
  std::unique_lock lock(mutex_);
  sizes_ = {.capacity_bytes = options_.capacity_bytes};
  promised_.clear();
  gone_.clear();
  gone_in_order_.clear();
  std::vector<BlockFile*> files;
  for (auto& [record_bytes, data] : data_) {
    data.free.clear();
    data.end = 0;
    if (data.file != nullptr) files.push_back(data.file.get());
  }
  lock.unlock();
  for (BlockFile* file : files) {
    if (Status cut = file->Truncate(); !cut) return cut;
  }
  return {};
}

Result<DiskStore::Verdict> DiskStore::Verify(
    bool mend, const std::function<void(uint64_t, uint64_t)>& progress) {
  std::vector<std::pair<BlockKey, DiskEntry>> entries;
  Status read = index_->ForEach(
      [&](const BlockKey& key, const DiskEntry& entry) { entries.emplace_back(key, entry); });
  if (!read) return std::unexpected(read.error());
  Verdict verdict;
  std::vector<std::byte> payload;
  for (const auto& [key, entry] : entries) {
    HeadPage page{};
    BlockFile* file = ReadableFile(entry.record_bytes);
    // What the payload's size is, the record itself must say first.
    const bool found = file != nullptr && file->Read(OffsetOf(entry), page, {});
    const uint64_t bytes = HeadOf(page).payload_bytes;
    bool good = found && bytes < entry.record_bytes;
    if (good) {
      payload.resize(static_cast<size_t>(bytes));
      good = ReadRecord(key, entry, {}, payload).has_value();
    }
    ++(good ? verdict.good : verdict.bad);
    if (!good && mend) Forget(key, TierMiss::kChecksum);
    progress(verdict.good + verdict.bad, entries.size());
  }
  return verdict;
}

Result<WriteOutcome> DiskStore::Prune(WallSeconds now) {
  WriteOutcome outcome;
  if (Status room = MakeRoom(0, now, outcome); !room) return std::unexpected(room.error());
  return outcome;
}

Result<std::vector<DiskStore::Group>> DiskStore::Groups() const {
  std::map<uint32_t, Group> groups;
  const Status read = index_->ForEach([&](const BlockKey&, const DiskEntry& entry) {
    Group& group = groups[entry.record_bytes];
    if (group.records++ == 0) group = {entry.record_bytes, 1, entry.used, entry.used};
    group.oldest = std::min(group.oldest, entry.used);
    group.youngest = std::max(group.youngest, entry.used);
  });
  if (!read) return std::unexpected(read.error());
  std::vector<Group> all;
  all.reserve(groups.size());
  for (const auto& [record_bytes, group] : groups) all.push_back(group);
  return all;
}

std::string DiskStore::ReadRate() {
  constexpr uint32_t kSampled = 16;
  BlockFile* file = ReadableFile(RecordBytes());
  const Result<uint64_t> size = file == nullptr ? 0 : file->Size();
  if (!size || *size < RecordBytes()) return {};
  const auto records = static_cast<uint32_t>(*size / RecordBytes());
  std::vector<std::byte> bytes(RecordBytes());
  uint64_t read = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < std::min(records, kSampled); ++i) {
    const uint64_t slot = uint64_t{records} * i / kSampled;
    file->Drop(slot * RecordBytes(), RecordBytes());
    if (!file->Read(slot * RecordBytes(), bytes, {})) return {};
    read += bytes.size();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return fmt::format("{:.1f} GB/s", static_cast<double>(read) / 1e9 / took.count());
}

Status DiskStore::SetNote(std::string_view name, std::string_view text) {
  DiskIndex::Update update(*index_);
  update.SetNote(name, text);
  return update.Commit();
}

}  // namespace reprise

#include "app/tiers.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "app/secret_file.h"
#include "base/log.h"
#include "engine/memory_plan.h"
#include "model/kv_identity.h"
#include "tiers/disk_store.h"
#include "tiers/shared_store.h"

namespace reprise {
namespace {

// Names a file's content as long as nobody writes to it: where it lies, how long it is and when it
// was last changed.
std::string FileNote(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return {};
  return fmt::format("sha256 of {}:{}:{}:{}.{}:{}.{}", about.st_dev, about.st_ino, about.st_size,
                     about.st_mtim.tv_sec, about.st_mtim.tv_nsec, about.st_ctim.tv_sec,
                     about.st_ctim.tv_nsec);
}

// Computed once for a file where there is a folder to remember it in.
Sha256 PartHash(const GgufPart& part, DiskStore* folder) {
  const std::string note = folder == nullptr ? std::string() : FileNote(part.path);
  const std::string known = note.empty() ? std::string() : folder->Note(note);
  Sha256 hash;
  if (known.size() == hash.bytes.size()) {
    std::memcpy(hash.bytes.data(), known.data(), known.size());
    return hash;
  }
  LogDebug("hashing {}", part.path);
  hash = Sha256Hasher().Add(part.content).Finish();
  if (note.empty()) return hash;
  const auto* bytes = reinterpret_cast<const char*>(hash.bytes.data());
  if (const Status noted = folder->SetNote(note, {bytes, hash.bytes.size()}); !noted) {
    LogWarning("the model's hash cannot be remembered: {}", noted.error().message);
  }
  return hash;
}

Sha256 ContentHash(const GgufFile& file, DiskStore* folder) {
  std::vector<Sha256> parts;
  for (const GgufPart& part : file.parts()) parts.push_back(PartHash(part, folder));
  file.DropPages();
  return ContentOf(parts);
}

// What names blocks that leave this process by name only. The content is not hashed for that: a
// large model takes minutes, and who takes one file for another by this sends a request in vain.
Sha256 IdentityInMemory(const GgufFile& file, const Model& model) {
  return model.kv_identity(Sha256Hasher()
                               .Add("reprise blocks in memory")
                               .Add(model.config().name)
                               .Add(uint64_t{file.file_bytes()})
                               .Finish());
}

Result<uint64_t> DefaultBytes(const std::string& folder) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  const auto space = std::filesystem::space(folder, failure);
  if (failure) {
    return Fail(ErrorCode::kIo,
                fmt::format("cannot use the folder {}: {}", folder, failure.message()));
  }
  return space.available / 10;
}

FileSystem& SystemFiles() {
  static FileSystem files;
  return files;
}

Result<std::unique_ptr<DiskStore>> OpenDisk(const DiskOptions& options, size_t block_bytes) {
  uint64_t bytes = options.bytes;
  if (bytes == 0) {
    const Result<uint64_t> fallback = DefaultBytes(options.folder);
    if (!fallback) return std::unexpected(fallback.error());
    bytes = *fallback;
  }
  if (bytes < 16 * block_bytes) {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format("--disk-size of {} bytes is not even 16 blocks of {}", bytes, block_bytes));
  }
  auto store = DiskStore::Open(
      {.folder = options.folder,
       .capacity_bytes = bytes,
       .payload_bytes = block_bytes,
       .retention = std::chrono::duration_cast<std::chrono::seconds>(options.retention).count()},
      SystemFiles());
  if (!store) return store;
  const DiskStore::Found& found = (*store)->found();
  if (!found.begun_anew.empty()) {
    LogWarning("the cache on disk begins anew: {}", found.begun_anew);
  }
  const std::string rate = (*store)->ReadRate();
  LogInfo("prompt cache on disk: {} holds {:.2f} of {:.2f} GB in {} blocks{}{}", options.folder,
          static_cast<double>((*store)->sizes().held_bytes) / 1e9, static_cast<double>(bytes) / 1e9,
          found.records, rate.empty() ? "" : "; read with " + rate,
          found.leftover > 0 ? fmt::format("; {} unfinished ones are reused", found.leftover) : "");
  return store;
}

Result<std::unique_ptr<SharedStore>> OpenShared(const SharedOptions& options, size_t block_bytes,
                                                size_t block_tokens) {
  SharedStore::Options shared;
  shared.ca_file = options.ca_file;
  shared.payload_bytes = block_bytes;
  shared.block_tokens = block_tokens;
  shared.retention = std::chrono::duration_cast<std::chrono::seconds>(options.retention).count();
  std::string labels;
  for (const std::string& url : options.urls) {
    auto address = ParseStoreUrl(url);
    if (!address) return std::unexpected(address.error());
    labels += (labels.empty() ? "" : ", ") + address->Label();
    shared.stores.push_back(*std::move(address));
  }
  if (!options.secret_file.empty()) {
    Result<std::string> secret = ReadSecretFile(options.secret_file);
    if (!secret) return std::unexpected(secret.error());
    shared.secret = *std::move(secret);
  }
  auto store = SharedStore::Open(std::move(shared));
  if (!store) return store;
  const size_t away = (*store)->Greet().size();  // it has logged why
  LogInfo("shared prompt cache: {}{}", labels,
          away > 0 ? fmt::format("; {} of {} away", away, options.urls.size()) : "");
  if (options.secret_file.empty()) {
    LogWarning(
        "whoever may write to the shared cache can change answers: records are not authenticated "
        "without --shared-secret");
  }
  return store;
}

}  // namespace

Result<EngineTiers> OpenTiers(const TierOptions& options, const GgufFile& file,
                              const Model& model) {
  const size_t block_bytes = BlockBytes(model.kv_layout(), model.state_bytes());
  const auto block_tokens = static_cast<size_t>(model.kv_layout().block_tokens);
  EngineTiers below;
  const auto add = [&](TierKind kind, std::unique_ptr<BlockStore> store) {
    below.tiers.push_back(std::make_unique<BlockTier>(
        std::move(store),
        BlockTier::Options{
            .kind = kind, .block_bytes = block_bytes, .block_tokens = block_tokens}));
  };
  std::unique_ptr<DiskStore> disk;
  std::unique_ptr<SharedStore> shared;
  if (!options.disk.folder.empty()) {
    auto opened = OpenDisk(options.disk, block_bytes);
    if (opened) {
      disk = *std::move(opened);
    } else if (opened.error().code == ErrorCode::kIo) {
      // A cache's fault is a miss.
      LogWarning("nothing is kept on disk: {}", opened.error().message);
    } else {
      return std::unexpected(opened.error());
    }
  }
  if (!options.shared.urls.empty()) {
    auto opened = OpenShared(options.shared, block_bytes, block_tokens);
    if (!opened) return std::unexpected(opened.error());
    shared = *std::move(opened);
  }
  if (disk == nullptr && shared == nullptr) {
    below.identity = IdentityInMemory(file, model);
    return below;
  }
  below.identity = model.kv_identity(ContentHash(file, disk.get()));
  if (disk != nullptr) add(TierKind::kDisk, std::move(disk));
  if (shared != nullptr) add(TierKind::kShared, std::move(shared));
  return below;
}

}  // namespace reprise

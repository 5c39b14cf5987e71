#include "app/disk_tier.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "tiers/disk_store.h"

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

// Computed once for a file and remembered in the folder.
Sha256 ContentHash(const std::string& path, const GgufFile& file, DiskStore& store) {
  const std::string note = FileNote(path);
  const std::string known = note.empty() ? std::string() : store.Note(note);
  Sha256 hash;
  if (known.size() == hash.bytes.size()) {
    std::memcpy(hash.bytes.data(), known.data(), known.size());
    return hash;
  }
  hash = Sha256Hasher().Add(file.content()).Finish();
  file.DropPages();
  if (note.empty()) return hash;
  const auto* bytes = reinterpret_cast<const char*>(hash.bytes.data());
  if (const Status noted = store.SetNote(note, {bytes, hash.bytes.size()}); !noted) {
    LogWarning("the model's hash cannot be remembered: {}", noted.error().message);
  }
  return hash;
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

}  // namespace

Result<EngineTier> OpenDiskTier(const DiskOptions& options, const std::string& model_path,
                                const GgufFile& file, const Model& model) {
  const KvLayout& layout = model.kv_layout();
  uint64_t bytes = options.bytes;
  if (bytes == 0) {
    const Result<uint64_t> fallback = DefaultBytes(options.folder);
    if (!fallback) return std::unexpected(fallback.error());
    bytes = *fallback;
  }
  if (bytes < 16 * layout.block_bytes()) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("--disk-size of {} bytes is not even 16 blocks of {}", bytes,
                            layout.block_bytes()));
  }
  auto store = DiskStore::Open(
      {.folder = options.folder,
       .capacity_bytes = bytes,
       .payload_bytes = layout.block_bytes(),
       .retention = std::chrono::duration_cast<std::chrono::seconds>(options.retention).count()},
      SystemFiles());
  if (!store) return std::unexpected(store.error());
  const DiskStore::Found& found = (*store)->found();
  if (!found.begun_anew.empty()) {
    LogWarning("the cache on disk begins anew: {}", found.begun_anew);
  }
  const Sha256 identity = model.kv_identity(ContentHash(model_path, file, **store));
  const StoreSizes sizes = (*store)->sizes();
  const std::string rate = (*store)->ReadRate();
  LogInfo("prompt cache on disk: {} holds {:.2f} of {:.2f} GB in {} blocks{}{}", options.folder,
          static_cast<double>(sizes.held_bytes) / 1e9, static_cast<double>(bytes) / 1e9,
          found.records, rate.empty() ? "" : "; read with " + rate,
          found.leftover > 0 ? fmt::format("; {} unfinished ones are reused", found.leftover) : "");
  return EngineTier{
      std::make_unique<BlockTier>(
          *std::move(store),
          BlockTier::Options{.block_bytes = layout.block_bytes(),
                             .block_tokens = static_cast<size_t>(layout.block_tokens)}),
      identity};
}

}  // namespace reprise

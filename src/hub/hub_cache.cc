#include "hub/hub_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>

#include "base/ascii.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

std::string FolderName(const std::string& repo) {
  std::string name = "models--" + repo;
  name.replace(name.find('/'), 1, "--");
  return name;
}

std::unexpected<Error> CannotWrite(const std::string& path, int error) {
  return Fail(ErrorCode::kIo, fmt::format("cannot write {}: {}", path, std::strerror(error)));
}

Status MakeFolder(const std::string& path) {
  std::error_code failure;
  fs::create_directories(path, failure);
  return failure ? Status(CannotWrite(path, failure.value())) : Status();
}

// So that nobody ever reads half of it.
Status WriteWhole(const std::string& path, const std::string& content) {
  const std::string next = fmt::format("{}.{}.tmp", path, getpid());
  std::ofstream file(next, std::ios::binary);
  file << content;
  file.close();
  if (!file || rename(next.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(next.c_str());
    return CannotWrite(path, error);
  }
  return {};
}

// Whether the open lock file is still the one of that name: others may remove theirs.
bool IsStillAt(int file, const std::string& path) {
  struct stat open_one {
  }, named{};
  return fstat(file, &open_one) == 0 && stat(path.c_str(), &named) == 0 &&
         open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

}  // namespace

bool IsCommit(std::string_view text) {
  return text.size() == 40 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

BlobLock::BlobLock(BlobLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

BlobLock::~BlobLock() {
  if (file_ >= 0) close(file_);
}

HubCache::HubCache(const std::string& folder, const std::string& repo)
    : root_(folder), name_(FolderName(repo)), folder_(fmt::format("{}/{}", root_, name_)) {}

std::optional<std::string> HubCache::CommitOf(const std::string& revision) const {
  if (IsCommit(revision)) return revision;
  std::ifstream file(fmt::format("{}/refs/{}", folder_, revision));
  std::string commit;
  file >> commit;
  return IsCommit(commit) ? std::optional(commit) : std::nullopt;
}

std::vector<RepoFile> HubCache::Files(const std::string& commit) const {
  const std::string snapshot = fmt::format("{}/snapshots/{}", folder_, commit);
  std::vector<RepoFile> files;
  std::error_code failure;
  for (fs::recursive_directory_iterator each(snapshot, failure), end; !failure && each != end;
       each.increment(failure)) {
    std::error_code absent;
    const uint64_t bytes = fs::file_size(each->path(), absent);  // of the blob
    if (absent) continue;
    files.push_back(
        {.path = each->path().lexically_relative(snapshot).string(), .bytes = bytes, .sha256 = {}});
  }
  return files;
}

bool HubCache::Has(const std::string& commit, const std::string& path) const {
  return access(SnapshotPath(commit, path).c_str(), R_OK) == 0;
}

std::string HubCache::SnapshotPath(const std::string& commit, const std::string& path) const {
  return fmt::format("{}/snapshots/{}/{}", folder_, commit, path);
}

std::string HubCache::BlobPath(const std::string& etag) const {
  return fmt::format("{}/blobs/{}", folder_, etag);
}

std::string HubCache::IncompletePath(const std::string& etag) const {
  return BlobPath(etag) + ".incomplete";
}

uint64_t HubCache::IncompleteBytes(const std::string& etag) const {
  std::error_code absent;
  const uint64_t bytes = fs::file_size(IncompletePath(etag), absent);
  return absent ? 0 : bytes;
}

Status HubCache::MakeFolders() {
  for (const std::string& path :
       {fmt::format("{}/blobs", folder_), fmt::format("{}/.locks/{}", root_, name_)}) {
    if (Status made = MakeFolder(path); !made) return made;
  }
  return {};
}

Result<BlobLock> HubCache::Lock(const std::string& etag, const std::function<void()>& waiting,
                                const std::function<bool()>& stopped) {
  const std::string path = fmt::format("{}/.locks/{}/{}.lock", root_, name_, etag);
  for (bool told = false;;) {
    BlobLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664));
    const int file = lock.file();
    if (file < 0) return CannotWrite(path, errno);
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
      if (IsStillAt(file, path)) return lock;
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return BlobLock(-1);
    if (!std::exchange(told, true)) waiting();
    if (stopped && stopped()) return Fail(ErrorCode::kCancelled, "stopped");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

Status HubCache::Link(const std::string& etag, const std::string& commit, const std::string& path) {
  const std::string link = SnapshotPath(commit, path);
  if (Status made = MakeFolder(fs::path(link).parent_path().string()); !made) return made;
  // From snapshots/COMMIT/a/b.gguf up to the repository's folder.
  std::string target = "../../";
  for (const char c : path) target += c == '/' ? "../" : "";
  target += "blobs/" + etag;
  if (symlink(target.c_str(), link.c_str()) == 0) return {};
  if (errno != EEXIST) return CannotWrite(link, errno);
  if (Has(commit, path)) return {};
  // It leads nowhere: whoever erased the blob left the link.
  if (unlink(link.c_str()) == 0 && symlink(target.c_str(), link.c_str()) == 0) return {};
  return CannotWrite(link, errno);
}

Status HubCache::SetCommit(const std::string& revision, const std::string& commit) {
  if (revision == commit || CommitOf(revision) == commit) return {};
  const std::string path = fmt::format("{}/refs/{}", folder_, revision);
  if (Status made = MakeFolder(fs::path(path).parent_path().string()); !made) return made;
  return WriteWhole(path, commit);
}

}  // namespace reprise

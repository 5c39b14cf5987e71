#include "hub/blob_download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/sha256.h"
#include "hub/hub_refusal.h"

namespace reprise {
namespace {

constexpr std::string_view kMagic = "GGUF";

// The file that grows, and the hash of what it holds. REQUIRES: the blob's lock is held.
class Growing {
 public:
  Growing(std::string path, std::string name) : path_(std::move(path)), name_(std::move(name)) {}
  ~Growing() {
    if (file_ >= 0) close(file_);
  }
  Growing(const Growing&) = delete;
  Growing& operator=(const Growing&) = delete;

  uint64_t bytes() const { return bytes_; }

  // Hashes what an earlier process has left, unless it is more than the whole.
  Status Open(uint64_t whole_bytes, const std::function<bool()>& stopped) {
    file_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    struct stat about {};
    if (file_ < 0 || fstat(file_, &about) != 0) return CannotWrite(errno);
    if (static_cast<uint64_t>(about.st_size) > whole_bytes) return BeginAnew();
    std::vector<std::byte> chunk(1 << 20);
    while (true) {
      if (stopped && stopped()) return Fail(ErrorCode::kCancelled, "stopped");
      const ssize_t count = read(file_, chunk.data(), chunk.size());
      if (count < 0) return CannotWrite(errno);
      if (count == 0) break;
      if (Status taken = Take(std::span(chunk).first(static_cast<size_t>(count))); !taken) {
        return BeginAnew();
      }
    }
    return {};
  }

  Status BeginAnew() {
    if (ftruncate(file_, 0) != 0 || lseek(file_, 0, SEEK_SET) != 0) return CannotWrite(errno);
    bytes_ = 0;
    head_.clear();
    hasher_ = std::make_unique<Sha256Hasher>();
    return {};
  }

  Status Append(std::span<const std::byte> bytes) {
    if (Status taken = Take(bytes); !taken) return taken;
    while (!bytes.empty()) {
      const ssize_t count = write(file_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return CannotWrite(errno);
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
    return {};
  }

  Sha256 Finish() { return hasher_->Finish(); }

  // Its content is on the disk before its name says that it is whole.
  Status Rename(const std::string& to) {
    if (fdatasync(file_) != 0 || rename(path_.c_str(), to.c_str()) != 0) return CannotWrite(errno);
    return {};
  }

  void Erase() { unlink(path_.c_str()); }

 private:
  // Hashes, and looks at the first letters: a model's file, not a page that says something else.
  Status Take(std::span<const std::byte> bytes) {
    if (head_.size() < kMagic.size()) {
      const size_t count = std::min(kMagic.size() - head_.size(), bytes.size());
      head_.append(reinterpret_cast<const char*>(bytes.data()), count);
      if (!kMagic.starts_with(head_)) {
        return Fail(
            ErrorCode::kCorrupt,
            fmt::format("{} is not a GGUF file: it does not begin with the letters GGUF", name_));
      }
    }
    hasher_->Add(bytes);
    bytes_ += bytes.size();
    return {};
  }

  std::unexpected<Error> CannotWrite(int error) const {
    if (error == ENOSPC || error == EDQUOT) {
      return Fail(
          ErrorCode::kIo,
          fmt::format("there is no room left for {}; what was fetched is kept, and the same "
                      "command goes on from there",
                      path_));
    }
    return Fail(ErrorCode::kIo, fmt::format("cannot write {}: {}", path_, std::strerror(error)));
  }

  std::string path_, name_;
  int file_ = -1;
  uint64_t bytes_ = 0;
  std::string head_;
  std::unique_ptr<Sha256Hasher> hasher_ = std::make_unique<Sha256Hasher>();
};

// Whether the reply is of the range from `from` on: "bytes 7-9/10".
bool ContinuesAt(const HubReply& reply, uint64_t from) {
  return reply.status == 206 &&
         reply.Header("content-range").starts_with(fmt::format("bytes {}-", from));
}

// Asks until all is there, or nothing more comes.
Status FetchRest(HubClient& client, PullProgress& progress, const ModelReference& reference,
                 const std::string& commit, const RepoFile& file, Growing& growing) {
  int attempt = 1;
  while (growing.bytes() < file.bytes) {
    if (Status waited = client.WaitBefore(attempt); !waited) return waited;
    const uint64_t from = growing.bytes();
    bool begun = false, unusable = false;
    const auto sink = [&](const HubReply& reply, std::span<const std::byte> bytes) -> Status {
      if (!std::exchange(begun, true) && from > 0 && !ContinuesAt(reply, from)) {
        // From the beginning after all, or from where nobody asked.
        unusable = reply.status != 200;
        progress.Lost(growing.bytes());
        if (Status anew = growing.BeginAnew(); !anew) return anew;
      }
      if (unusable) return {};
      if (bytes.size() > file.bytes - growing.bytes()) {
        return Fail(ErrorCode::kCorrupt,
                    fmt::format("the hub sends more of {} than the {} bytes that it has", file.path,
                                file.bytes));
      }
      progress.Fetched(bytes.size());
      return growing.Append(bytes);
    };
    const Result<HubReply> reply = client.Fetch(reference, commit, file.path, from, sink);
    if (!reply) return std::unexpected(reply.error());
    if (growing.bytes() >= file.bytes) return {};
    if (reply->fault.empty() && reply->status >= 300 && reply->status != 416 && !MayPass(*reply)) {
      return std::unexpected(RefusalOf(*reply, reference, file.path, client.settings()));
    }
    if (reply->status == 416 && from > 0) {
      progress.Lost(growing.bytes());
      if (Status anew = growing.BeginAnew(); !anew) return anew;
    }
    attempt = growing.bytes() > from ? 2 : attempt + 1;
    if (attempt > limits::kHubAttempts) {
      return Fail(
          ErrorCode::kIo,
          fmt::format("{} stopped coming after {}: {}; what was fetched is kept, and the "
                      "same command goes on from there",
                      file.path, SizeText(growing.bytes()),
                      reply->fault.empty() ? fmt::format("the hub answers {}", reply->status)
                                           : reply->fault));
    }
    progress.Say(fmt::format(
        "{}; going on from {}",
        reply->fault.empty() ? fmt::format("the hub answers {}", reply->status) : reply->fault,
        SizeText(growing.bytes())));
  }
  return {};
}

}  // namespace

Status CheckRoom(const std::string& folder, uint64_t bytes) {
  std::error_code failure;
  const auto space = std::filesystem::space(folder, failure);
  if (failure || space.available >= bytes) return {};  // who does not say has room
  return Fail(ErrorCode::kIo, fmt::format("{} more are needed in {}, which has room for {}",
                                          SizeText(bytes), folder, SizeText(space.available)));
}

BlobDownload::BlobDownload(HubClient& client, HubCache& cache, PullProgress& progress,
                           std::function<bool()> stopped)
    : client_(client), cache_(cache), progress_(progress), stopped_(std::move(stopped)) {}

Status BlobDownload::Run(const ModelReference& reference, const std::string& commit,
                         const RepoFile& file) {
  const Result<FileMark> mark = client_.Mark(reference, commit, file.path);
  if (!mark) return std::unexpected(mark.error());
  RepoFile wanted = file;
  wanted.bytes = mark->bytes;
  constexpr size_t kSha256Digits = 64;
  if (wanted.sha256.empty() && mark->etag.size() == kSha256Digits) wanted.sha256 = mark->etag;

  const auto waiting = [&] {
    progress_.Say(fmt::format("another process fetches {}; waiting for it", file.path));
  };
  const Result<BlobLock> lock = cache_.Lock(mark->etag, waiting, stopped_);
  if (!lock) return std::unexpected(lock.error());
  const std::string blob = cache_.BlobPath(mark->etag);
  if (access(blob.c_str(), F_OK) == 0) {  // of another revision, or while this one waited
    progress_.Found(wanted.bytes);
    return cache_.Link(mark->etag, commit, file.path);
  }

  Growing growing(cache_.IncompletePath(mark->etag), file.path);
  if (Status opened = growing.Open(wanted.bytes, stopped_); !opened) return opened;
  if (Status room = CheckRoom(cache_.folder(), wanted.bytes - growing.bytes()); !room) return room;
  if (growing.bytes() > 0) {
    progress_.Found(growing.bytes());
    progress_.Say(fmt::format("{} of {} are there", SizeText(growing.bytes()), file.path));
  }
  Status fetched = FetchRest(client_, progress_, reference, commit, wanted, growing);
  if (!fetched) {
    if (fetched.error().code == ErrorCode::kCorrupt) growing.Erase();
    return fetched;
  }
  const std::string sha256 = growing.Finish().Hex();
  if (!wanted.sha256.empty() && sha256 != wanted.sha256) {
    growing.Erase();
    return Fail(ErrorCode::kCorrupt,
                fmt::format("{} came with the SHA-256 {} instead of {}; it was erased, fetch it "
                            "again",
                            file.path, sha256, wanted.sha256));
  }
  if (Status renamed = growing.Rename(blob); !renamed) return renamed;
  return cache_.Link(mark->etag, commit, file.path);
}

}  // namespace reprise

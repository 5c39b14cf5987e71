#include "tiers/block_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace reprise {

Error SystemError(const char* what, const std::string& path, int number) {
  return {ErrorCode::kIo,
          fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(number)),
          {}};
}

namespace {

class SystemFile final : public BlockFile {
 public:
  SystemFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~SystemFile() override { close(descriptor_); }

  Status Read(uint64_t offset, std::span<std::byte> head, std::span<std::byte> rest) override {
    return Move("read", preadv, offset,
                {iovec{head.data(), head.size()}, {rest.data(), rest.size()}});
  }

  Status Write(uint64_t offset, std::span<const std::byte> head,
               std::span<const std::byte> rest) override {
    return Move("write", pwritev, offset,
                {iovec{const_cast<std::byte*>(head.data()), head.size()},
                 {const_cast<std::byte*>(rest.data()), rest.size()}});
  }

  Status Sync() override { return fdatasync(descriptor_) == 0 ? Status() : Failed("sync"); }

  Status Release(uint64_t offset, uint64_t size) override {
    const int done = fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               static_cast<off_t>(offset), static_cast<off_t>(size));
    return done == 0 || errno == EOPNOTSUPP ? Status() : Failed("give back room of");
  }

  Status Truncate() override { return ftruncate(descriptor_, 0) == 0 ? Status() : Failed("cut"); }

  Result<uint64_t> Size() override {
    struct stat about {};
    if (fstat(descriptor_, &about) != 0) return Failed("look at");
    return static_cast<uint64_t>(about.st_size);
  }

  void Drop(uint64_t offset, uint64_t size) override {
    posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(size),
                  POSIX_FADV_DONTNEED);
  }

 private:
  std::unexpected<Error> Failed(const char* what) const {
    return std::unexpected(SystemError(what, path_, errno));
  }

  // All of both parts, however many calls it takes.
  template <typename Call>
  Status Move(const char* what, Call call, uint64_t offset, std::array<iovec, 2> parts) {
    size_t part = 0;
    while (true) {
      while (part < parts.size() && parts[part].iov_len == 0) ++part;
      if (part == parts.size()) return {};
      const ssize_t moved = call(descriptor_, parts.data() + part,
                                 static_cast<int>(parts.size() - part), static_cast<off_t>(offset));
      if (moved < 0 && errno == EINTR) continue;
      if (moved < 0) return Failed(what);
      if (moved == 0) {
        return Fail(ErrorCode::kIo, fmt::format("cannot {} {}: it ends too early", what, path_));
      }
      offset += static_cast<uint64_t>(moved);
      for (auto left = static_cast<size_t>(moved); left > 0;) {
        const size_t taken = std::min(left, parts[part].iov_len);
        parts[part].iov_base = static_cast<std::byte*>(parts[part].iov_base) + taken;
        parts[part].iov_len -= taken;
        left -= taken;
        if (parts[part].iov_len == 0) ++part;
      }
    }
  }

  const int descriptor_;
  const std::string path_;
};

}  // namespace

Result<std::unique_ptr<BlockFile>> FileSystem::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return std::unexpected(SystemError("open", path, errno));
  return std::make_unique<SystemFile>(descriptor, path);
}

}  // namespace reprise

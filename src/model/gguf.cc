#include "model/gguf.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "model/gguf_parser.h"
#include "model/gguf_parts.h"

namespace reprise {
namespace {

// A whole file mapped read-only; unmapped with its owner.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, size_t bytes) : address_(address), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() {
    if (address_ != nullptr) munmap(address_, bytes_);
  }

  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(address_), bytes_};
  }
  void Drop() const {
    if (address_ != nullptr) madvise(address_, bytes_, MADV_DONTNEED);
  }

 private:
  void* address_ = nullptr;
  size_t bytes_ = 0;
};

std::unexpected<Error> SystemRefused(const std::string& path, int error) {
  const ErrorCode code =
      error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
  return Fail(code, fmt::format("cannot read {}: {}", path, std::strerror(error)));
}

Result<Mapping> Map(const std::string& path) {
  // Without O_NONBLOCK a named pipe would wait for a writer.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return SystemRefused(path, errno);
  struct stat information = {};
  if (fstat(file, &information) != 0) {
    const int error = errno;
    close(file);
    return SystemRefused(path, error);
  }
  if (!S_ISREG(information.st_mode)) {
    close(file);
    return Fail(ErrorCode::kIo, fmt::format("cannot read {}: it is not a regular file", path));
  }
  const auto size = static_cast<size_t>(information.st_size);
  if (size == 0) {
    close(file);
    return Fail(ErrorCode::kCorrupt, fmt::format("{}: the file is empty", path));
  }
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  const int error = errno;
  close(file);
  if (address == MAP_FAILED) return SystemRefused(path, error);
  return Mapping(address, size);
}

// The value of `key` as T, nullopt when absent, kCorrupt when of another type.
template <typename T>
Result<std::optional<T>> Typed(const GgufFile::Value* value, std::string_view key,
                               std::string_view type) {
  if (value == nullptr) return std::optional<T>();
  const T* typed = std::get_if<T>(value);
  if (typed == nullptr) {
    return Fail(ErrorCode::kCorrupt, fmt::format("the key '{}' is not {}", key, type));
  }
  return std::optional<T>(*typed);
}

}  // namespace

struct GgufFile::Impl {
  std::vector<Mapping> mappings;  // of Open; with Parse the bytes are the caller's
  std::vector<GgufPart> parts;
  GgufContents contents;
};

GgufFile::GgufFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

Result<GgufFile> GgufFile::Open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  std::vector<GgufContents> contents;
  const auto open_part = [&](const std::string& part) -> Status {
    Result<Mapping> mapping = Map(part);
    if (!mapping) return std::unexpected(mapping.error());
    Result<GgufContents> parsed = ParseGguf(mapping->bytes());
    if (!parsed) {
      return Fail(parsed.error().code, fmt::format("{}: {}", part, parsed.error().message));
    }
    impl->parts.push_back({.path = part, .content = mapping->bytes()});
    impl->mappings.push_back(std::move(*mapping));
    contents.push_back(std::move(*parsed));
    return {};
  };
  if (Status opened = open_part(path); !opened) return std::unexpected(opened.error());
  const Result<std::vector<std::string>> paths = PartPaths(path, contents.front());
  if (!paths) return std::unexpected(paths.error());
  if (paths->size() > 1) {
    impl = std::make_unique<Impl>();
    contents.clear();
    for (const std::string& part : *paths) {
      Status opened = open_part(part);
      if (!opened && opened.error().code == ErrorCode::kNotFound) {
        return Fail(ErrorCode::kNotFound,
                    fmt::format("of the {} files of the model one is missing: {} is not there",
                                paths->size(), part));
      }
      if (!opened) return std::unexpected(opened.error());
    }
  }
  Result<GgufContents> joined = JoinParts(*paths, std::move(contents));
  if (!joined) return std::unexpected(joined.error());
  impl->contents = std::move(*joined);
  return GgufFile(std::move(impl));
}

Result<GgufFile> GgufFile::Parse(std::span<const std::byte> bytes) {
  Result<GgufContents> contents = ParseGguf(bytes);
  if (!contents) return std::unexpected(contents.error());
  auto impl = std::make_unique<Impl>();
  impl->parts.push_back({.path = {}, .content = bytes});
  impl->contents = std::move(*contents);
  return GgufFile(std::move(impl));
}

const GgufFile::Value* GgufFile::Find(std::string_view key) const {
  const auto found = impl_->contents.metadata.find(key);
  return found == impl_->contents.metadata.end() ? nullptr : &found->second;
}

const GgufTensor* GgufFile::FindTensor(std::string_view name) const {
  const auto found = impl_->contents.tensor_positions.find(name);
  return found == impl_->contents.tensor_positions.end() ? nullptr
                                                         : &impl_->contents.tensors[found->second];
}

Result<std::optional<int64_t>> GgufFile::Integer(std::string_view key) const {
  return Typed<int64_t>(Find(key), key, "an integer");
}

Result<std::optional<double>> GgufFile::Number(std::string_view key) const {
  const Value* value = Find(key);
  if (value != nullptr) {
    if (const int64_t* integer = std::get_if<int64_t>(value)) {
      return std::optional<double>(static_cast<double>(*integer));
    }
  }
  return Typed<double>(value, key, "a number");
}

Result<std::optional<bool>> GgufFile::Boolean(std::string_view key) const {
  return Typed<bool>(Find(key), key, "a boolean");
}

Result<std::optional<std::string_view>> GgufFile::String(std::string_view key) const {
  return Typed<std::string_view>(Find(key), key, "a string");
}

const std::map<std::string_view, GgufFile::Value>& GgufFile::metadata() const {
  return impl_->contents.metadata;
}

const std::vector<GgufTensor>& GgufFile::tensors() const { return impl_->contents.tensors; }

size_t GgufFile::file_bytes() const {
  size_t sum = 0;
  for (const GgufPart& part : impl_->parts) sum += part.content.size();
  return sum;
}

const std::vector<GgufPart>& GgufFile::parts() const { return impl_->parts; }

void GgufFile::DropPages() const {
  for (const Mapping& mapping : impl_->mappings) mapping.Drop();
}

}  // namespace reprise

#pragma once

// The system's files, as far as a store of blocks needs them: behind an interface, so that tests
// can have them fail. Any thread; what is read and written at once must not overlap.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"

namespace reprise {

class BlockFile {
 public:
  virtual ~BlockFile() = default;
  // Both parts, one behind the other; kIo, also where the file ends before.
  virtual Status Read(uint64_t offset, std::span<std::byte> head, std::span<std::byte> rest) = 0;
  virtual Status Write(uint64_t offset, std::span<const std::byte> head,
                       std::span<const std::byte> rest) = 0;
  virtual Status Sync() = 0;                                   // on the disk when it returns
  virtual Status Release(uint64_t offset, uint64_t size) = 0;  // its room goes back to the system
  virtual Status Truncate() = 0;
  virtual Result<uint64_t> Size() = 0;
  virtual void Drop(uint64_t offset, uint64_t size) = 0;  // from the system's memory, if it can
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Created, readable by its owner only, if it is not there. kIo with the system's words.
  virtual Result<std::unique_ptr<BlockFile>> Open(const std::string& path);
};

// "cannot write PATH: No space left on device"
Error SystemError(const char* what, const std::string& path, int number);

}  // namespace reprise

#pragma once

// Reads little-endian values one after another from bytes that may lie about their lengths: nothing
// is read past the end, and no length is believed before it is compared with what is left. Says
// only whether a read went well; the caller knows what it was reading and makes the sentence.
//
// A value; one thread.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace reprise {

static_assert(std::endian::native == std::endian::little, "GGUF values are read in place");

class GgufCursor {
 public:
  explicit GgufCursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  // False, and nothing consumed, when fewer than sizeof(T) bytes are left.
  template <typename T>
  bool Read(T* value) {
    if (remaining() < sizeof(T)) return false;
    std::memcpy(value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return true;
  }

  enum class StringOutcome : uint8_t { kRead, kEndOfFile, kTooLong };

  // A string as GGUF writes it: its length in 8 bytes, then its bytes. The view points into the
  // bytes.
  StringOutcome ReadString(uint64_t limit, std::string_view* value) {
    uint64_t length = 0;
    if (!Read(&length)) return StringOutcome::kEndOfFile;
    if (length > limit) return StringOutcome::kTooLong;
    if (length > remaining()) return StringOutcome::kEndOfFile;
    *value = {reinterpret_cast<const char*>(bytes_.data() + position_),
              static_cast<size_t>(length)};
    position_ += static_cast<size_t>(length);
    return StringOutcome::kRead;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace reprise

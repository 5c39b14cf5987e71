#pragma once

// SHA-256 (FIPS 180-4) and HMAC over it (RFC 2104), by OpenSSL. A hasher has one user at a time.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace reprise {

struct Sha256 {
  std::array<std::byte, 32> bytes{};
  friend auto operator<=>(const Sha256&, const Sha256&) = default;

  std::string Hex() const;
};

Sha256 HmacSha256(std::string_view secret, std::span<const std::byte> message);
// In the same time wherever they differ.
bool SameInConstantTime(const Sha256& a, const Sha256& b);

// Of what is added, in order.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(const Sha256Hasher&) = delete;
  Sha256Hasher& operator=(const Sha256Hasher&) = delete;

  Sha256Hasher& Add(std::span<const std::byte> bytes);
  Sha256Hasher& Add(const Sha256& hash) { return Add(std::span<const std::byte>(hash.bytes)); }
  // Its size first, so that texts in a row cannot be confused.
  Sha256Hasher& Add(std::string_view text);
  Sha256Hasher& Add(uint64_t value);  // eight bytes, the lowest first
  Sha256 Finish();                    // once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace reprise

// A hash's bytes are as good as random.
template <>
struct std::hash<reprise::Sha256> {
  size_t operator()(const reprise::Sha256& of) const noexcept {
    size_t value = 0;
    std::memcpy(&value, of.bytes.data(), sizeof value);
    return value;
  }
};

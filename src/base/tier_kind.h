#pragma once

// The kinds of store below memory, the fastest first.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace reprise {

enum class TierKind : uint8_t {
  kDisk,    // a folder of this machine's
  kShared,  // stores that machines share
};
inline constexpr std::array kTierKinds = {TierKind::kDisk, TierKind::kShared};

constexpr std::string_view ToText(TierKind kind) {
  return kind == TierKind::kDisk ? "disk" : "shared";
}

// Tokens that were read from each.
class StoredTokens {
 public:
  size_t& operator[](TierKind kind) { return tokens_[static_cast<size_t>(kind)]; }
  size_t operator[](TierKind kind) const { return tokens_[static_cast<size_t>(kind)]; }
  size_t all() const { return tokens_[0] + tokens_[1]; }

 private:
  std::array<size_t, kTierKinds.size()> tokens_{};
};

}  // namespace reprise

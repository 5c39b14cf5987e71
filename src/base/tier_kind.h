#pragma once

// The kinds of store below memory, the fastest first, and what became of looking there.

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

// Why a prompt was not read further from a tier.
enum class TierMiss : uint8_t {
  kNone,     // it was read to its end, or the tier was not asked
  kAbsent,   // it was never there, or nobody remembers
  kEvicted,  // for room
  kExpired,
  kChecksum,  // what was there was not this block, to the bit
  kFailed,    // it could not be read
  kSlow,      // computing was expected to be faster, or nothing came in time
};

// What a person wants to be told of; the others are how things go.
constexpr bool IsTelling(TierMiss miss) { return miss > TierMiss::kAbsent; }

constexpr std::string_view ToText(TierMiss miss) {
  constexpr std::array<std::string_view, 7> kTexts = {"none",     "absent", "evicted", "expired",
                                                      "checksum", "failed", "slow"};
  return kTexts[static_cast<size_t>(miss)];
}

// One value for each kind.
template <typename T>
class PerTier {
 public:
  constexpr T& operator[](TierKind kind) { return values_[static_cast<size_t>(kind)]; }
  constexpr const T& operator[](TierKind kind) const { return values_[static_cast<size_t>(kind)]; }
  constexpr bool operator==(const PerTier&) const = default;

 private:
  std::array<T, kTierKinds.size()> values_{};
};

constexpr size_t Sum(const PerTier<size_t>& tokens) {
  size_t sum = 0;
  for (const TierKind kind : kTierKinds) sum += tokens[kind];
  return sum;
}

}  // namespace reprise

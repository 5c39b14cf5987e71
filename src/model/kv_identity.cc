#include "model/kv_identity.h"

namespace reprise {
namespace {

// Raised by one whenever a change to kernels, forward pass or layout changes any bit of K or V.
constexpr uint64_t kArithmeticVersion = 2;

}  // namespace

Sha256 ContentOf(std::span<const Sha256> files) {
  if (files.size() == 1) return files.front();
  Sha256Hasher hasher;
  hasher.Add("reprise files").Add(uint64_t{files.size()});
  for (const Sha256& file : files) hasher.Add(file);
  return hasher.Finish();
}

Sha256 KvIdentity(const Sha256& content, const KvLayout& layout, bool long_ropes, Isa isa,
                  Compute compute) {
  return Sha256Hasher()
      .Add("reprise kv")
      .Add(kArithmeticVersion)
      .Add(content)
      .Add(IsaName(isa))
      .Add(static_cast<uint64_t>(compute))
      .Add(static_cast<uint64_t>(layout.encoding))
      .Add(static_cast<uint64_t>(layout.layers))
      .Add(static_cast<uint64_t>(layout.kv_heads))
      .Add(static_cast<uint64_t>(layout.key_dim))
      .Add(static_cast<uint64_t>(layout.value_dim))
      .Add(static_cast<uint64_t>(layout.block_tokens))
      .Add(static_cast<uint64_t>(long_ropes))
      .Finish();
}

}  // namespace reprise

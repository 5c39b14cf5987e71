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

Sha256 KvIdentity(const KvOrigin& origin) {
  const KvLayout& layout = origin.layout;
  return Sha256Hasher()
      .Add("reprise kv")
      .Add(kArithmeticVersion)
      .Add(origin.content)
      .Add(BitsOf(origin.isa))
      .Add(static_cast<uint64_t>(origin.compute))
      .Add(static_cast<uint64_t>(layout.encoding))
      .Add(static_cast<uint64_t>(layout.layers))
      .Add(static_cast<uint64_t>(layout.kv_heads))
      .Add(static_cast<uint64_t>(layout.key_dim))
      .Add(static_cast<uint64_t>(layout.value_dim))
      .Add(static_cast<uint64_t>(layout.block_tokens))
      .Add(static_cast<uint64_t>(origin.long_ropes))
      .Add(origin.adapter)
      .Finish();
}

}  // namespace reprise

#pragma once

// Who the K and V of a model are: a SHA-256 over all that their bits depend on. Two processes with
// equal identities compute the same bits for the same tokens, and may share a cache, also on disk.

#include <span>
#include <string_view>

#include "base/sha256.h"
#include "kernels/kv_layout.h"
#include "kernels/operations.h"

namespace reprise {

// Of a model's content, from that of each of its files in their order: of a single one, its own.
Sha256 ContentOf(std::span<const Sha256> files);

struct KvOrigin {
  Sha256 content;  // ContentOf all files of the model
  KvLayout layout;
  Isa isa = Isa::kPlain;
  Compute compute = Compute::kFast;
  bool long_ropes = false;        // ModelConfig::long_ropes
  std::string_view adapter = {};  // what was added to the weights; none are served yet
};

Sha256 KvIdentity(const KvOrigin& origin);

}  // namespace reprise

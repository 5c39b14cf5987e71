#pragma once

// Who the K and V of a model are: a SHA-256 over all that their bits depend on. Two processes with
// equal identities compute the same bits for the same tokens, and may share a cache, also on disk.

#include "base/sha256.h"
#include "kernels/kv_layout.h"
#include "kernels/operations.h"

namespace reprise {

// `content`: of the model's whole file.
Sha256 KvIdentity(const Sha256& content, const KvLayout& layout, bool long_ropes, Isa isa,
                  Compute compute);

}  // namespace reprise

#pragma once

// The identity of what a model's K and V depend on: two processes with equal fingerprints compute
// the same bits and may share a cache. It guards against mistakes (another file, another
// arithmetic), not against an adversary: weights are sampled, not read in full, so that a start
// stays fast.

#include <cstdint>

#include "model/gguf.h"
#include "model/model.h"

namespace reprise {

uint64_t Fingerprint(const GgufFile& file, const Model::Options& options);

}  // namespace reprise

#pragma once

// How --kv-memory is divided: blocks of K and V and, for models with recurrent layers, an arena of
// states (docs/design/cache.md). Pure.

#include <cstddef>

#include "base/error.h"
#include "kernels/kv_layout.h"

namespace reprise {

// Of a block of K and V, and in stores below memory also of a part of a state.
size_t BlockBytes(const KvLayout& layout, size_t state_bytes);

struct MemoryPlan {
  size_t block_bytes = 0;
  size_t block_count = 0;
  // All 0 for models without states.
  size_t state_count = 0;
  size_t working_states = 0;         // that sequences may have at once
  size_t state_interval_tokens = 0;  // a snapshot is kept so often in any case
};

// kInvalidArgument when `bytes` holds not one block, with two states of `state_bytes` beside it.
Result<MemoryPlan> PlanMemory(size_t bytes, const KvLayout& layout, size_t state_bytes);

}  // namespace reprise

#include "engine/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"

namespace reprise {
namespace {

// What a block counts at least: where no layer has K and V, its node in the tree is all there is.
constexpr size_t kLeastBlockBytes = 4096;

// One state for so many blocks: short conversations, which end twice a turn, fill both alike.
constexpr size_t kBlocksPerState = 4;

// Snapshots at regular places take no more room than the blocks between them, as far as these
// bounds allow: computing 512 tokens again is cheap, 2,048 are a nuisance.
constexpr size_t kLeastInterval = 16;  // blocks
constexpr size_t kMostInterval = 64;

}  // namespace

size_t BlockBytes(const KvLayout& layout, size_t state_bytes) {
  return state_bytes == 0 ? layout.block_bytes() : std::max(layout.block_bytes(), kLeastBlockBytes);
}

Result<MemoryPlan> PlanMemory(size_t bytes, const KvLayout& layout, size_t state_bytes) {
  MemoryPlan plan;
  plan.block_bytes = BlockBytes(layout, state_bytes);
  if (state_bytes > 0) {
    const double share = static_cast<double>(state_bytes) /
                         static_cast<double>(state_bytes + kBlocksPerState * plan.block_bytes);
    const auto wanted = static_cast<size_t>(share * static_cast<double>(bytes));
    const size_t states = std::clamp(wanted, bytes / 16, bytes / 2);
    // One for a sequence to run with, one to be kept.
    plan.state_count = std::max<size_t>(states / state_bytes, 2);
    plan.working_states = std::min<size_t>(plan.state_count / 2, limits::kMaxRunningSequences);
    const size_t interval = (state_bytes + plan.block_bytes - 1) / plan.block_bytes;
    plan.state_interval_tokens = std::clamp(interval, kLeastInterval, kMostInterval) *
                                 static_cast<size_t>(layout.block_tokens);
  }
  const size_t of_states = plan.state_count * state_bytes;
  plan.block_count = of_states < bytes ? (bytes - of_states) / plan.block_bytes : 0;
  if (plan.block_count > 0) return plan;
  return Fail(ErrorCode::kInvalidArgument,
              state_bytes == 0
                  ? fmt::format("--kv-memory of {} bytes holds not one block of {} bytes", bytes,
                                plan.block_bytes)
                  : fmt::format("--kv-memory of {} bytes holds not two states of {} bytes and a "
                                "block of {}",
                                bytes, state_bytes, plan.block_bytes));
}

}  // namespace reprise

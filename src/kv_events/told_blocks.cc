#include "kv_events/told_blocks.h"

#include <utility>

#include "base/fleet_limits.h"

namespace reprise {

std::vector<KvEvent> ToldBlocks::Apply(const BlockChanges& changes) {
  std::vector<KvEvent> events;
  const bool snapshot = changes.kind == BlockChanges::Kind::kSnapshot;
  if (snapshot && changes.begins) {
    told_.insert(doubtful_.begin(), doubtful_.end());
    doubtful_ = std::exchange(told_, {});
  }
  if (!snapshot) Remove(changes, events);
  for (const BlockRun& run : changes.stored) Store(run, events);
  if (snapshot && changes.ends) RemoveAll(doubtful_, events);
  return events;
}

// The run's blocks that readers do not know, as runs of their own.
void ToldBlocks::Store(const BlockRun& run, std::vector<KvEvent>& events) {
  const size_t block_tokens = run.tokens.size() / run.blocks.size();
  BlockRun* stored = nullptr;
  for (size_t i = 0; i < run.blocks.size(); ++i) {
    const bool doubted = doubtful_.erase(run.blocks[i]) > 0;
    if (!told_.insert(run.blocks[i]).second || doubted) {
      stored = nullptr;
      continue;
    }
    if (stored == nullptr) {
      events.emplace_back(BlockRun{.parent = run.parent});
      stored = &std::get<BlockRun>(events.back());
      if (i > 0) stored->parent = run.blocks[i - 1];
    }
    stored->blocks.push_back(run.blocks[i]);
    const auto tokens = run.tokens.begin() + static_cast<ptrdiff_t>(i * block_tokens);
    stored->tokens.insert(stored->tokens.end(), tokens,
                          tokens + static_cast<ptrdiff_t>(block_tokens));
  }
}

void ToldBlocks::Remove(const BlockChanges& changes, std::vector<KvEvent>& events) {
  if (changes.cleared) {
    RemoveAll(told_, events);
    events.emplace_back(ClearedBlocks());
    return;
  }
  RemovedBlocks removed;
  for (const BlockName name : changes.removed) {
    if (told_.erase(name) > 0) removed.blocks.push_back(name);
  }
  if (!removed.blocks.empty()) events.emplace_back(std::move(removed));
}

void ToldBlocks::RemoveAll(Names& names, std::vector<KvEvent>& events) {
  RemovedBlocks removed;
  for (const BlockName name : names) {
    removed.blocks.push_back(name);
    if (removed.blocks.size() == limits::kMaxToldBlocks) {
      events.emplace_back(std::exchange(removed, {}));
    }
  }
  if (!removed.blocks.empty()) events.emplace_back(std::move(removed));
  names.clear();
}

}  // namespace reprise

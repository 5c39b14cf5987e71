#include "tiers/tier_journal.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/fleet_limits.h"

namespace reprise {

void TierJournal::OnStored(BlockName block) {
  const std::lock_guard lock(mutex_);
  if (!sinks_.empty()) changes_.push_back({block, true});
}

void TierJournal::OnGone(BlockName block) {
  const std::lock_guard lock(mutex_);
  if (!sinks_.empty()) changes_.push_back({block, false});
}

void TierJournal::OnCleared() {
  const std::lock_guard lock(mutex_);
  changes_.clear();
  cleared_ = !sinks_.empty();
}

Status TierJournal::Watch(const BlockStore& store, BlockSink sink) {
  std::vector<BlockName> names;
  return store.ForEachHeld([&](BlockName block) { names.push_back(block); },
                           [&](bool all) {
                             if (!all) names.clear();
                             const std::lock_guard lock(mutex_);
                             TellLocked();
                             if (!sinks_.empty()) Send({});  // who wants no more goes
                             if (SendSnapshot(names, sink)) sinks_.push_back(std::move(sink));
                           });
}

bool TierJournal::SendSnapshot(const std::vector<BlockName>& names, const BlockSink& sink) const {
  size_t sent = 0;
  do {
    const size_t count = std::min(names.size() - sent, limits::kMaxToldBlocks);
    BlockChanges part;
    part.place = place_;
    part.sequence = sequence_;
    part.kind = BlockChanges::Kind::kSnapshot;
    part.begins = sent == 0;
    const auto first = names.begin() + static_cast<std::ptrdiff_t>(sent);
    sent += count;
    part.ends = sent == names.size();
    if (count > 0) {
      part.stored.push_back({.blocks = {first, first + static_cast<std::ptrdiff_t>(count)}});
    }
    if (!sink(std::make_shared<const BlockChanges>(std::move(part)))) return false;
  } while (sent < names.size());
  return true;
}

void TierJournal::Tell() {
  const std::lock_guard lock(mutex_);
  TellLocked();
}

void TierJournal::TellLocked() {
  if (changes_.empty() && !cleared_) return;
  std::unordered_map<BlockName, bool> last;  // whether it is there
  for (const Change& change : changes_) last[change.block] = change.stored;
  const bool cleared = std::exchange(cleared_, false);
  BlockChanges told;
  told.cleared = cleared;
  BlockRun stored;
  const auto send = [&] {
    if (!stored.blocks.empty()) told.stored.push_back(std::exchange(stored, {}));
    Send(std::exchange(told, {}));
  };
  for (const Change& change : std::exchange(changes_, {})) {
    const auto found = last.find(change.block);
    if (found == last.end()) continue;  // told already
    if (found->second) {
      stored.blocks.push_back(change.block);
    } else if (!cleared) {
      told.removed.push_back(change.block);
    }
    last.erase(found);
    if (stored.blocks.size() + told.removed.size() == limits::kMaxToldBlocks) send();
  }
  if (told.cleared || !stored.blocks.empty() || !told.removed.empty()) send();
}

void TierJournal::Send(BlockChanges told) {
  told.place = place_;
  told.sequence = ++sequence_;
  const auto shared = std::make_shared<const BlockChanges>(std::move(told));
  std::erase_if(sinks_, [&](const BlockSink& sink) { return !sink(shared); });
}

}  // namespace reprise

#include "tiers/known_blocks.h"

namespace reprise {

void KnownBlocks::Add(BlockName block) {
  const std::lock_guard lock(mutex_);
  if (!blocks_.try_emplace(block, next_).second) return;
  in_order_.emplace_back(next_++, block);
  if (listener_ != nullptr) listener_->OnStored(block);
  while (in_order_.size() > most_) {
    const auto [number, earliest] = in_order_.front();
    in_order_.pop_front();
    const auto found = blocks_.find(earliest);
    if (found == blocks_.end() || found->second != number) continue;
    blocks_.erase(found);
    if (listener_ != nullptr) listener_->OnGone(earliest);
  }
}

void KnownBlocks::Remove(BlockName block) {
  const std::lock_guard lock(mutex_);
  if (blocks_.erase(block) > 0 && listener_ != nullptr) listener_->OnGone(block);
}

void KnownBlocks::Clear() {
  const std::lock_guard lock(mutex_);
  blocks_.clear();
  in_order_.clear();
  if (listener_ != nullptr) listener_->OnCleared();
}

void KnownBlocks::ForEach(const std::function<void(BlockName)>& visit,
                          const std::function<void(bool all)>& done) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [block, number] : blocks_) visit(block);
  done(true);
}

}  // namespace reprise

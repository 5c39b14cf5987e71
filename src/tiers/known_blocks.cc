#include "tiers/known_blocks.h"

namespace reprise {

void KnownBlocks::Add(const BlockKey& key) {
  const std::lock_guard lock(mutex_);
  if (!blocks_.try_emplace(key, next_).second) return;
  in_order_.emplace_back(next_++, key);
  if (listener_ != nullptr) listener_->OnStored(key);
  while (in_order_.size() > most_) {
    const auto [number, earliest] = in_order_.front();
    in_order_.pop_front();
    const auto found = blocks_.find(earliest);
    if (found == blocks_.end() || found->second != number) continue;
    blocks_.erase(found);
    if (listener_ != nullptr) listener_->OnGone(earliest);
  }
}

void KnownBlocks::Remove(const BlockKey& key) {
  const std::lock_guard lock(mutex_);
  if (blocks_.erase(key) > 0 && listener_ != nullptr) listener_->OnGone(key);
}

void KnownBlocks::Clear() {
  const std::lock_guard lock(mutex_);
  blocks_.clear();
  in_order_.clear();
  if (listener_ != nullptr) listener_->OnCleared();
}

void KnownBlocks::ForEach(const std::function<void(const BlockKey&)>& visit,
                          const std::function<void()>& done) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, number] : blocks_) visit(key);
  done();
}

}  // namespace reprise

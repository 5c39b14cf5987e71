#pragma once

// One reference to a recurrent state: a block of an arena of states. Move-only; gives itself back.
// Whoever holds the only one may write; what is shared is not written any more. Engine thread.

#include <cstddef>
#include <utility>

#include "base/ids.h"
#include "cache/block_pool.h"

namespace reprise {

class StateReference {
 public:
  StateReference() = default;
  // Takes over a reference that the caller has. The arena outlives it.
  StateReference(BlockPool* arena, BlockId block) : arena_(arena), block_(block) {}
  StateReference(StateReference&& other) noexcept
      : arena_(std::exchange(other.arena_, nullptr)), block_(other.block_) {}
  StateReference& operator=(StateReference&& other) noexcept {
    if (this == &other) return *this;
    Release();
    arena_ = std::exchange(other.arena_, nullptr);
    block_ = other.block_;
    return *this;
  }
  ~StateReference() { Release(); }

  void Release() {
    if (BlockPool* arena = std::exchange(arena_, nullptr)) arena->Release(block_);
  }
  // REQUIRES of all below: not empty.
  StateReference Share() const {
    arena_->Reference(block_);
    return {arena_, block_};
  }
  void CopyFrom(const StateReference& other) { arena_->Copy(other.block_, block_); }
  bool alone() const { return arena_->references(block_) == 1; }
  std::byte* data() const { return arena_->data(block_); }

  bool empty() const { return arena_ == nullptr; }

 private:
  BlockPool* arena_ = nullptr;
  BlockId block_;
};

}  // namespace reprise

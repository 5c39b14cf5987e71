#pragma once

// One arena of equal blocks, mapped at start. Hands out block ids and counts references; the
// payload is opaque bytes. Knows nothing of tokens. Owned by the engine thread.
//
// A block is free (no reference) or referenced. A reference is held by the prefix tree (at most
// one) and by each sequence whose table names the block.
//
// Memory is backed only once it is touched, and stays backed: blocks that were used before are
// handed out first, so what is resident is the largest number of blocks ever used at once.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/ids.h"

namespace reprise {

class BlockPool {
 public:
  // Every payload starts at a multiple of this.
  static constexpr size_t kAlignment = 64;

  // Maps block_count blocks of block_bytes, zeroed, lazily backed (huge pages where offered).
  // kInvalidArgument if either is 0 or the product cannot be addressed; kIo if the system refuses.
  static Result<std::unique_ptr<BlockPool>> Create(size_t block_count, size_t block_bytes);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  enum class Payload : uint8_t { kZeroed, kUndefined };  // the latter is going to be written whole

  // A free block with one reference, or nullopt when none is free.
  std::optional<BlockId> TryAllocate(Payload payload = Payload::kZeroed);
  void Reference(BlockId block);  // REQUIRES: referenced already
  void Release(BlockId block);    // REQUIRES: referenced; the last one frees the block

  std::byte* data(BlockId block);       // REQUIRES: referenced, as long as the pointer is used
  void Copy(BlockId from, BlockId to);  // the whole payload

  size_t block_count() const { return block_count_; }
  size_t block_bytes() const { return block_bytes_; }
  size_t free_blocks() const { return freed_.size() + (block_count_ - first_unused_); }
  uint32_t references(BlockId block) const;

 private:
  BlockPool(std::byte* arena, size_t block_count, size_t block_bytes);

  std::byte* arena_;
  size_t block_count_;
  size_t block_bytes_;
  size_t stride_bytes_;  // block_bytes rounded up to the alignment
  std::vector<uint32_t> references_;
  std::vector<uint32_t> freed_;  // a stack of free blocks that were used before
  size_t first_unused_ = 0;      // blocks from here on were never handed out and are still zero
};

}  // namespace reprise

#pragma once

// One arena of equal blocks, mapped at start. Hands out block ids and counts references; the
// payload is opaque bytes. Knows nothing of tokens. Owned by the engine thread.
//
// A block is free (no reference) or referenced. A reference is held by the prefix tree (at most
// one) and by each sequence whose table names the block.

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
  // Maps block_count * block_bytes, zeroed, lazily backed (huge pages where offered). kIo if
  // refused.
  static Result<std::unique_ptr<BlockPool>> Create(size_t block_count, size_t block_bytes);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // A free block with one reference and its payload zeroed, or nullopt when none is free.
  std::optional<BlockId> TryAllocate();
  void Reference(BlockId block);  // REQUIRES: referenced already
  void Release(BlockId block);    // the last one frees the block

  std::byte* data(BlockId block);
  void Copy(BlockId from, BlockId to);  // the whole payload

  size_t block_count() const;
  size_t block_bytes() const;
  size_t free_blocks() const;
  uint32_t references(BlockId block) const;

 private:
  BlockPool(std::byte* arena, size_t block_count, size_t block_bytes);
  std::byte* arena_;
  size_t block_count_;
  size_t block_bytes_;
  std::vector<uint32_t> references_;
  std::vector<uint32_t> free_;  // a stack
};

}  // namespace reprise
